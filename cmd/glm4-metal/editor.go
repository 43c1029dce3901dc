package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/peterh/liner"
)

// The sequences that make a terminal mark what is pasted, and stop it.
// Source: https://invisible-island.net/xterm/ctlseqs/ctlseqs.html, "Bracketed Paste Mode".
const (
	bracketPastes   = "\x1b[?2004h"
	unbracketPastes = "\x1b[?2004l"
)

// editor is a lineReader with editing and history, for a terminal.
//
// liner knows no bracketed paste, no Ctrl-Z and no narrow window. So it does not read the terminal itself: a goroutine
// does, which sends what it reads through a pasteFilter into a pipe, and liner reads the pipe. Where the window is too
// narrow for liner, or has no width, narrowReader reads the pipe. Between two lines the terminal echoes nothing, and
// Ctrl-C sends a signal.
type editor struct {
	terminal *terminal
	complete liner.WordCompleter
	history  *history // nil: none
	lines    []string // that the arrow keys bring back
	pastes   pastes
	typed    atomic.Bool
	stop     func() bool

	liner  *liner.State // nil until there is a line for it
	narrow narrowReader

	mu        sync.Mutex
	keys      *os.File // the pipe: what liner reads
	pipe      *os.File // and what is written for it
	ended     bool     // nothing more will be read
	lost      bool     // the terminal has gone
	prompting string   // the prompt whose line is being typed, "" for none
}

// newEditor takes the terminal over until Close. history may be nil.
func newEditor(ctx context.Context, h *history) (*editor, error) {
	t, err := takeTerminal()
	if err != nil {
		return nil, err
	}
	e := &editor{terminal: t, history: h}
	if h != nil {
		e.lines = h.lines
	}
	if err := e.reopen(); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	e.stop = context.AfterFunc(ctx, e.end)
	go e.feed(os.Stdin)
	return e, nil
}

// reopen gives the keys a new pipe, as whoever reads the old one may not be finished with it.
func (e *editor) reopen() error {
	keys, pipe, err := os.Pipe()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closePipe()
	e.keys, e.pipe = keys, pipe
	if e.ended {
		e.closePipe()
	}
	if e.liner != nil {
		e.liner.Close()
		e.liner = nil
	}
	return err
}

// end makes the reader see the end of its input.
func (e *editor) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ended = true
	e.closePipe()
}

func (e *editor) closePipe() {
	if e.pipe != nil {
		e.pipe.Close()
	}
}

// feed copies what is typed to the reader.
func (e *editor) feed(terminal *os.File) {
	defer e.end()
	filter := pasteFilter{fold: e.pastes.fold}
	buf := make([]byte, 4096)
	for {
		n, err := terminal.Read(buf)
		for _, b := range buf[:n] {
			if b != ctrlC {
				e.typed.Store(true)
			}
		}
		out := filter.filter(buf[:n])
		if bytes.IndexByte(out, ctrlZ) >= 0 { // pastes have no control characters any more
			out = bytes.ReplaceAll(out, []byte{ctrlZ}, nil)
			syscall.Kill(0, syscall.SIGTSTP) // as the terminal would, to all of the job
		}
		if len(out) > 0 {
			e.mu.Lock()
			pipe := e.pipe
			e.mu.Unlock()
			pipe.Write(out) // where it has been closed, a new one takes the next keys
		}
		if err != nil || n == 0 {
			e.mu.Lock()
			e.lost = true
			e.mu.Unlock()
			return
		}
	}
}

// The keys that mean something to a terminal or an editor.
const (
	ctrlC = 3
	ctrlD = 4
	ctrlU = 21
	ctrlZ = 26
)

// narrowColumns is the width below which liner does not edit: the prompt's and ten more.
const narrowColumns = len(prompt) + 10

func (e *editor) ReadLine(ctx context.Context, prompt string) (string, error) {
	e.terminal.set(&e.terminal.keys)
	e.setPrompting(prompt)
	fmt.Print(bracketPastes)
	line, err := e.readLine(prompt)
	lost := e.setPrompting("")
	e.terminal.set(&e.terminal.raw) // also where a shell has changed it meanwhile
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil && lost: // not at the user's wish, as with Ctrl-D
		return "", errInterrupted
	case errors.Is(err, liner.ErrPromptAborted):
		return "", errAborted
	case err != nil:
		return "", err
	}
	if line != "" {
		e.lines = append(e.lines, line)
		if e.liner != nil {
			e.liner.AppendHistory(line)
		}
		if e.history != nil && !e.pastes.in(line) {
			e.history.add(line)
		}
	}
	return e.pastes.unfold(line), nil
}

func (e *editor) readLine(prompt string) (string, error) {
	if columns(os.Stdout) < narrowColumns {
		return e.narrow.readLine(e.keys, prompt)
	}
	if e.liner == nil {
		e.open()
	}
	line, err := e.liner.Prompt(prompt)
	switch {
	case errors.Is(err, liner.ErrInternal): // as the width became 0
		if err := e.reopen(); err != nil {
			return "", err
		}
		fmt.Println()
		return e.readLine(prompt)
	case columns(os.Stdout) < narrowColumns: // which liner would remember
		e.liner.Close()
		e.liner = nil
	}
	return line, err
}

// open opens liner on the pipe.
func (e *editor) open() {
	stdin := os.Stdin
	os.Stdin = e.keys // NewLiner reads from there ever after
	e.liner = liner.NewLiner()
	os.Stdin = stdin
	e.liner.SetCtrlCAborts(true)
	e.liner.SetMultiLineMode(true)
	e.liner.SetBeep(false)
	e.liner.SetTabCompletionStyle(liner.TabPrints)
	e.liner.SetWordCompleter(e.complete)
	for _, line := range e.lines {
		e.liner.AppendHistory(line)
	}
	e.terminal.set(&e.terminal.keys) // NewLiner has set another mode
}

// setPrompting notes the prompt whose line is being typed, and tells whether the terminal has gone.
func (e *editor) setPrompting(prompt string) (lost bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.prompting = prompt
	return e.lost
}

// suspend gives the terminal back and stops the program, as Ctrl-Z does without handlers. It returns when the program
// goes on.
func (e *editor) suspend() {
	e.terminal.lend()
	// SIGTTIN is handled by nobody and stops what has a shell to continue it, and only that. SIGTSTP, once caught, does
	// not any more (Go ignores it then), and SIGSTOP would stop what nobody can continue.
	syscall.Kill(os.Getpid(), syscall.SIGTTIN)
	time.Sleep(50 * time.Millisecond) // the signal may take a moment
	e.resume()
}

// resume takes the terminal again, whose modes the shell has changed, and shows the line that is being typed.
func (e *editor) resume() {
	e.terminal.take()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.prompting == "" {
		return
	}
	fmt.Print(bracketPastes)
	if columns(os.Stdout) < narrowColumns {
		fmt.Print(e.prompting)
	} else {
		syscall.Kill(os.Getpid(), syscall.SIGWINCH) // which makes liner draw its line
	}
}

func (e *editor) Typed() bool { return e.typed.Swap(false) }

func (e *editor) Close() error {
	if e.stop != nil {
		e.stop()
	}
	giveBackTerminal()
	return nil
}
