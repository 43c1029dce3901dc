package main

import (
	wire "encoding/binary" // binary is the program in tests
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/glm4-metal/glm4-metal/internal/backend/gpu"
)

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// columns is the width of a terminal, 0 where it does not tell.
func columns(f *os.File) int {
	n, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return n
}

// hasEscapes tells whether the terminal understands escape sequences at all.
func hasEscapes() bool {
	name := strings.ToLower(os.Getenv("TERM"))
	return name != "" && name != "dumb"
}

// hasColours tells whether text may be coloured or dimmed. Source: https://no-color.org.
func hasColours() bool { return hasEscapes() && os.Getenv("NO_COLOR") == "" }

// The sequences that make a terminal write faintly, and as before.
const (
	dim    = "\x1b[2m"
	normal = "\x1b[0m"
)

// terminal is the terminal of standard input while its modes are changed. Whatever ends the program gives it back:
// giveBackTerminal on all ways that the program itself takes, its guard on all others.
type terminal struct {
	mu    sync.Mutex
	fd    int
	first unix.Termios // as it was found
	raw   unix.Termios // nothing is echoed, keys arrive one by one, Ctrl-C is a signal
	keys  unix.Termios // and Ctrl-C is a key, too
	mode  *unix.Termios
	given bool
	guard io.WriteCloser // nil where there is none
}

// dimmed says that standard error's terminal writes faintly until it is told otherwise.
var dimmed atomic.Bool

// setDim makes a terminal, which is standard error's, write faintly, or as before.
func setDim(w io.Writer, on bool) {
	dimmed.Store(on)
	io.WriteString(w, map[bool]string{true: dim, false: normal}[on])
}

// taken is the terminal whose modes are changed, nil when there is none.
var taken atomic.Pointer[terminal]

func takeTerminal() (*terminal, error) {
	t := &terminal{fd: int(os.Stdin.Fd())}
	mode, err := unix.IoctlGetTermios(t.fd, getTermios)
	if err != nil {
		return nil, err
	}
	t.first, t.raw = *mode, *mode
	t.raw.Iflag &^= unix.ICRNL | unix.INPCK | unix.ISTRIP | unix.IXON
	t.raw.Cflag |= unix.CS8
	t.raw.Lflag &^= unix.ECHO | unix.ICANON | unix.IEXTEN
	t.raw.Cc[unix.VMIN], t.raw.Cc[unix.VTIME] = 1, 0
	t.keys = t.raw
	t.keys.Lflag &^= unix.ISIG
	t.startGuard()
	taken.Store(t)
	return t, t.set(&t.raw)
}

// set changes the terminal's mode, to one of t's, until the next call.
func (t *terminal) set(mode *unix.Termios) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mode = mode
	return t.apply(mode)
}

// apply may be called with t locked only.
func (t *terminal) apply(mode *unix.Termios) error {
	if t.given {
		return nil
	}
	return unix.IoctlSetTermios(t.fd, setTermios, mode)
}

// lend gives the terminal back for as long as the program is suspended; take takes it again.
func (t *terminal) lend() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.given {
		io.WriteString(os.Stdout, unbracketPastes)
		if dimmed.Load() {
			io.WriteString(os.Stderr, normal)
		}
		t.apply(&t.first)
	}
}

func (t *terminal) take() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.apply(t.mode)
	if dimmed.Load() {
		io.WriteString(os.Stderr, dim)
	}
}

// giveBackTerminal restores the terminal, if the program has changed anything. Any goroutine may call it, any number of
// times.
func giveBackTerminal() {
	if dimmed.Load() {
		setDim(os.Stderr, false)
	}
	t := taken.Swap(nil)
	if t == nil {
		return
	}
	t.lend()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.given = true
	if t.guard != nil {
		t.guard.Write([]byte{guardDone})
		t.guard.Close()
	}
}

// exiting is locked by the first exit, whose status counts.
var exiting sync.Mutex

// endDevices is [gpu.End].
var endDevices = gpu.End

// exit ends the program, from any goroutine and in any state. A GPU that works is waited for, but not one that hangs.
func exit(status int) {
	exiting.Lock()
	giveBackTerminal()
	endDevices(endAnyway)
	os.Exit(status)
}

// guardName is the program's name, as it sees it, when it runs as a guard.
const guardName = program + ": terminal guard"

// guardDone tells a guard that there is nothing left to do.
const guardDone = 0

// startGuard starts a second process, which restores the terminal where this one cannot: a panic of another goroutine,
// a fault in assembly, the system's killer when memory is short. It waits at a pipe for its end, or for the first words
// of a crash. Without it a chat works as well.
func (t *terminal) startGuard() {
	read, write, err := os.Pipe()
	if err != nil {
		return
	}
	defer read.Close()
	self, err := os.Executable()
	if err != nil {
		write.Close()
		return
	}
	guard := exec.Command(self)
	guard.Args = []string{guardName}
	guard.Stdin, guard.Stdout, guard.ExtraFiles = os.Stdin, os.Stdout, []*os.File{read}
	guard.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // out of reach of the terminal's signals
	if guard.Start() != nil || wire.Write(write, wire.NativeEndian, t.first) != nil {
		write.Close()
		return
	}
	go guard.Wait()
	debug.SetCrashOutput(write, debug.CrashOptions{})
	t.guard = write
}

// guardTerminal is what a guard does.
func guardTerminal() {
	signal.Ignore(syscall.SIGTTOU, syscall.SIGHUP, syscall.SIGPIPE) // it writes to the terminal from the background
	pipe := os.NewFile(3, "pipe")
	var first unix.Termios
	if wire.Read(pipe, wire.NativeEndian, &first) != nil {
		return
	}
	said := []byte{guardDone + 1}
	if pipe.Read(said); said[0] == guardDone {
		return
	}
	unix.IoctlSetTermios(int(os.Stdin.Fd()), setTermios, &first)
	io.WriteString(os.Stdout, unbracketPastes)
	if hasColours() {
		io.WriteString(os.Stdout, normal)
	}
	io.Copy(io.Discard, pipe) // the crash still writes
}
