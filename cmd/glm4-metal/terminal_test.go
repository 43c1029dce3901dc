package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// console is a chat in a real terminal of 80 columns, seen from the keyboard's side.
type console struct {
	t      *testing.T
	cmd    *exec.Cmd
	tty    string // the terminal's name
	master *os.File
	before *term.State // the terminal's mode
	after  *term.State
	ended  chan struct{} // the program has ended, and all its output is here

	mu     sync.Mutex
	output string
	seen   int           // how much of it has been waited for
	news   chan struct{} // output has grown
}

// patience is how long a test waits for output; a machine under load can be slow.
const patience = 2 * time.Minute

func startChat(t *testing.T, args ...string) *console {
	return startConsole(t, command(t, append([]string{"chat"}, args...)...))
}

func startConsole(t *testing.T, cmd *exec.Cmd) *console { return startWindow(t, cmd, 24, 80) }

// startWindow starts a command in a window of this size; its standard error may be elsewhere.
func startWindow(t *testing.T, cmd *exec.Cmd, rows, columns int) *console {
	master, name, err := openPTY()
	require.NoError(t, err)
	tty, err := os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	require.NoError(t, unix.IoctlSetWinsize(int(tty.Fd()), unix.TIOCSWINSZ, windowSize(rows, columns)))
	c := &console{t: t, cmd: cmd, tty: name, master: master, ended: make(chan struct{}), news: make(chan struct{}, 1)}
	c.before, err = term.GetState(int(tty.Fd()))
	require.NoError(t, err)
	cmd.Stdin, cmd.Stdout = tty, tty
	if cmd.Stderr == nil {
		cmd.Stderr = tty
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	require.NoError(t, cmd.Start())
	go func() {
		cmd.Wait()
		c.after, _ = term.GetState(int(tty.Fd()))
		tty.Close() // the last to have it open: reading the master ends
	}()
	go c.read()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-c.ended
		master.Close()
	})
	return c
}

func windowSize(rows, columns int) *unix.Winsize {
	return &unix.Winsize{Row: uint16(rows), Col: uint16(columns)}
}

func (c *console) resize(rows, columns int) {
	c.t.Helper()
	require.NoError(c.t, unix.IoctlSetWinsize(int(c.master.Fd()), unix.TIOCSWINSZ, windowSize(rows, columns)))
}

func (c *console) read() {
	buf := make([]byte, 4096)
	for {
		n, err := c.master.Read(buf)
		if err != nil {
			close(c.ended)
			return
		}
		c.mu.Lock()
		c.output += string(buf[:n])
		c.mu.Unlock()
		select {
		case c.news <- struct{}{}:
		default:
		}
	}
}

// wait waits until what came since the last wait is enough: found gives where it ends, or -1.
func (c *console) wait(what string, found func(output string) int) {
	c.t.Helper()
	deadline := time.After(patience)
	for ended := false; ; {
		c.mu.Lock()
		at := found(c.output[c.seen:])
		if at >= 0 {
			c.seen += at
		}
		output := c.output
		c.mu.Unlock()
		if at >= 0 {
			return
		}
		if ended {
			require.FailNow(c.t, "the chat ended before "+what, "%q", output)
		}
		select {
		case <-c.news:
		case <-c.ended:
			ended = true
		case <-deadline:
			require.FailNow(c.t, "waited for "+what, "%q", output)
		}
	}
}

func (c *console) expect(text string) {
	c.t.Helper()
	c.wait(text, func(output string) int {
		if at := strings.Index(output, text); at >= 0 {
			return at + len(text)
		}
		return -1
	})
}

// expectAnswer waits until some of an answer is there, in a line below the one that was sent.
func (c *console) expectAnswer() {
	c.t.Helper()
	c.wait("an answer", func(output string) int {
		if at := strings.Index(output, "\r\n"); at >= 0 && len(output) > at+12 {
			return at + 2
		}
		return -1
	})
}

func (c *console) send(keys string) {
	c.t.Helper()
	_, err := c.master.WriteString(keys)
	require.NoError(c.t, err)
}

// expectEnd waits for the program to end, and checks how it leaves the terminal.
func (c *console) expectEnd(status int) {
	c.t.Helper()
	select {
	case <-c.ended:
	case <-time.After(patience):
		require.FailNow(c.t, "the chat does not end", "%q", c.output)
	}
	require.Equal(c.t, status, c.cmd.ProcessState.ExitCode())
	require.Equal(c.t, c.before, c.after, "the terminal's mode")
	c.expect(unbracketPastes)
}

func (c *console) save() conversationJSON {
	c.t.Helper()
	file := filepath.Join(c.t.TempDir(), "chat.json")
	c.send("/save " + file + "\r")
	c.expect("saved ")
	c.expect(prompt)
	return saved(c.t, file)
}

const (
	arrowUp   = "\x1b[A"
	arrowLeft = "\x1b[D"
	backspace = "\x7f"
	interrupt = "\x03"
	endOfFile = "\x04"
)

func TestChineseConversationInATerminal(t *testing.T) {
	c := startChat(t, "--max-tokens", "8")
	c.expect("built-in demo")
	c.expect(prompt)
	c.send("你好\r")
	c.expectAnswer()
	c.expect(prompt)
	c.send("天晴气很" + arrowLeft + arrowLeft + backspace + "\x05好" + "\r") // ^E is the line's end
	c.expectAnswer()
	c.expect(prompt)
	s := c.save()
	require.Equal(t, "user assistant user assistant", s.roles())
	require.Equal(t, "你好", s.Messages[0].Content)
	require.NotEmpty(t, s.Messages[1].Content)
	require.Equal(t, "天气很好", s.Messages[2].Content)
	c.send(endOfFile)
	c.expectEnd(0)
}

func TestPasteIsOneMessage(t *testing.T) {
	text := strings.Repeat(strings.Repeat("the project ", 8)+"\r", 51) + strings.Repeat("x\r", 26) + "y"
	require.Len(t, text, 5000)
	c := startChat(t, "--max-tokens", "2")
	c.expect(bracketPastes)
	c.expect(prompt)
	c.send("Read: " + pasteStart + text + pasteEnd)
	c.expect("[paste 1: 5000 characters in 78 lines]")
	c.send(" 谢谢\r")
	c.expectAnswer()
	c.expect(prompt)
	c.send(pasteStart + "short\r\ttwo\r" + pasteEnd)
	c.expect("short␤␉two")
	c.send("\r")
	c.expectAnswer()
	c.expect(prompt)
	s := c.save()
	require.Equal(t, "user assistant user assistant", s.roles())
	require.Equal(t, "Read: "+strings.ReplaceAll(text, "\r", "\n")+" 谢谢", s.Messages[0].Content)
	require.Equal(t, "short\n\ttwo", s.Messages[2].Content)
}

func TestCtrlCStopsTheAnswerAndKeepsTheChat(t *testing.T) {
	c := startChat(t, "--ignore-eos")
	c.expect(prompt)
	for range 2 {
		c.send("Hello\r")
		c.expectAnswer()
		c.send(interrupt)
		c.expect("[stopped; ")
		c.expect(prompt)
	}
	s := c.save()
	require.Equal(t, "user assistant user assistant", s.roles())
	require.NotEmpty(t, s.Messages[1].Content, "what had come is kept")
	require.NotEmpty(t, s.Messages[3].Content)

	for range 2 { // a typed line resets the count
		c.send("x")
		c.expect("x")
		c.send(interrupt)
		c.expect("press Ctrl-C again or type /exit to leave")
		c.expect(prompt)
	}
	c.send(interrupt)
	c.expectEnd(statusInterrupted)
}

func TestSecondCtrlCLeaves(t *testing.T) {
	c := startChat(t, "--ignore-eos")
	c.expect(prompt)
	c.send("Hello\r")
	c.expectAnswer()
	c.send(interrupt)
	c.expect("[stopped; press Ctrl-C again")
	c.expect(prompt)
	c.send(interrupt)
	c.expectEnd(statusInterrupted)
}

func TestHistoryOfAnEarlierChat(t *testing.T) {
	home := t.TempDir()
	for i, keys := range []string{"Hello 你好", arrowUp} {
		cmd := command(t, "chat", "--max-tokens", "2")
		cmd.Env = append(cmd.Env, "HOME="+home, "XDG_CONFIG_HOME="+home)
		c := startConsole(t, cmd)
		c.expect(prompt)
		c.send(keys)
		c.expect("Hello 你好")
		c.send("\r")
		c.expectAnswer()
		c.expect(prompt)
		if i == 1 {
			require.Equal(t, "Hello 你好", c.save().Messages[0].Content)
		}
		c.send(endOfFile)
		c.expectEnd(0)
	}
}

func TestTypingDuringAnAnswerIsNotLost(t *testing.T) {
	c := startChat(t, "--ignore-eos", "--max-tokens", "40")
	c.expect(prompt)
	c.send("Hello\r")
	c.expectAnswer()
	c.send("next")
	c.expect(prompt)
	c.expect("next")
	c.send("\r")
	c.expectAnswer()
	c.expect(prompt)
	s := c.save()
	require.Equal(t, "user assistant user assistant", s.roles())
	require.Equal(t, "next", s.Messages[2].Content)
}
