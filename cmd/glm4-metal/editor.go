package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

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
// liner knows no bracketed paste. So it does not read the terminal itself: a goroutine does, which sends what it
// reads through a pasteFilter into a pipe, and liner reads the pipe. Only the terminal's modes are still liner's.
// Between two lines the terminal echoes nothing, and Ctrl-C sends a signal.
type editor struct {
	state   *liner.State
	editing liner.ModeApplier // the terminal's mode while liner is open
	pastes  pastes
	history *history
	typed   atomic.Bool
	pipe    *os.File // what liner reads
	close   func() error
}

// newEditor takes the terminal over until Close. history may be nil.
func newEditor(ctx context.Context, h *history) (*editor, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	e := &editor{history: h, pipe: read}
	terminal := os.Stdin
	os.Stdin = read // NewLiner reads from there ever after
	e.state = liner.NewLiner()
	os.Stdin = terminal
	e.state.SetCtrlCAborts(true)
	e.state.SetMultiLineMode(true)
	e.state.SetBeep(false)
	if e.editing, err = liner.TerminalMode(); err != nil {
		return nil, errors.Join(err, e.state.Close())
	}
	if h != nil {
		for _, line := range h.lines {
			e.state.AppendHistory(line)
		}
	}
	stop := context.AfterFunc(ctx, func() { write.Close() }) // liner sees the end of its input
	e.close = sync.OnceValue(func() error {
		stop()
		fmt.Print(unbracketPastes)
		return e.state.Close()
	})
	go e.feed(terminal, write)
	return e, nil
}

// feed copies what is typed to liner.
func (e *editor) feed(terminal, liner *os.File) {
	defer liner.Close()
	filter := pasteFilter{fold: e.pastes.fold}
	buf := make([]byte, 4096)
	for {
		n, err := terminal.Read(buf)
		for _, b := range buf[:n] {
			if b != ctrlC {
				e.typed.Store(true)
			}
		}
		if out := filter.filter(buf[:n]); len(out) > 0 {
			if _, err := liner.Write(out); err != nil {
				return
			}
		}
		if err != nil || n == 0 {
			return
		}
	}
}

const ctrlC = 3

func (e *editor) ReadLine(ctx context.Context, prompt string) (string, error) {
	e.editing.ApplyMode() // a shell may have changed it while the program was suspended
	fmt.Print(bracketPastes)
	line, err := e.state.Prompt(prompt)
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if errors.Is(err, liner.ErrPromptAborted) {
		return "", errAborted
	}
	if err != nil {
		return "", err
	}
	if line != "" {
		e.state.AppendHistory(line)
		if e.history != nil && !e.pastes.in(line) {
			e.history.add(line)
		}
	}
	return e.pastes.unfold(line), nil
}

func (e *editor) Typed() bool { return e.typed.Swap(false) }

func (e *editor) Close() error { return e.close() }
