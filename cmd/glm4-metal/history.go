package main

import (
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// history is the file that keeps the lines typed at the prompt from one chat to the next. That it cannot be read or
// written is no error: a chat works without.
type history struct {
	file  string
	lines []string // of earlier chats, oldest first
}

// The file keeps at least keptLines, and is cut to that when it has twice as many.
const keptLines = 1000

func historyFile() (string, error) {
	dir, err := os.UserConfigDir()
	return filepath.Join(dir, program, "history"), err
}

func openHistory(file string) *history {
	h := &history{file: file}
	data, err := os.ReadFile(file)
	if err != nil {
		return h
	}
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSuffix(line, "\n"); line != "" && utf8.ValidString(line) {
			h.lines = append(h.lines, line)
		}
	}
	if len(h.lines) > 2*keptLines {
		h.lines = h.lines[len(h.lines)-keptLines:]
		_ = writeFile(file, []byte(strings.Join(h.lines, "\n")+"\n"), 0o600)
	}
	return h
}

// add appends a line at once, so that chats side by side, and one that is killed, lose nothing.
func (h *history) add(line string) {
	if os.MkdirAll(filepath.Dir(h.file), 0o700) != nil {
		return
	}
	f, err := os.OpenFile(h.file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	_, _ = f.WriteString(line + "\n")
}
