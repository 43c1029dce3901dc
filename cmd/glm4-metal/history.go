package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/glm4-metal/glm4-metal/internal/textfile"
)

// history is the file that keeps the lines typed at the prompt from one chat to the next. A chat works without it.
type history struct {
	file  string
	lines []string // of earlier chats, oldest first
}

// The file keeps at least keptLines, and is cut to that when it has twice as many, or is longer than longHistory. One
// longer than maxHistory was not written here, and is left alone.
const (
	keptLines   = 1000
	longHistory = 4 << 20
	maxHistory  = 64 << 20
)

// stateFile is a file of the program in the user's folder for settings.
func stateFile(name string) (string, error) {
	dir, err := os.UserConfigDir()
	return filepath.Join(dir, program, name), err
}

// openHistory reads the file. Where it cannot be read, other than because it does not exist, there is no history.
func openHistory(file string) (*history, error) {
	h := &history{file: file}
	data, err := textfile.Read(file, maxHistory)
	if errors.Is(err, fs.ErrNotExist) {
		return h, nil
	}
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(data)) {
		// What a terminal would obey was not typed here, and must not be shown by the arrow keys.
		if line = strings.TrimSuffix(line, "\n"); line != "" && visibleLine(line) == line {
			h.lines = append(h.lines, line)
		}
	}
	if len(h.lines) > 2*keptLines || len(data) > longHistory {
		h.lines = h.lines[max(0, len(h.lines)-keptLines):]
		size := 0
		for i := len(h.lines) - 1; i >= 0; i-- {
			if size += len(h.lines[i]) + 1; size > longHistory/2 {
				h.lines = h.lines[i+1:]
				break
			}
		}
		_ = textfile.Replace(file, []byte(strings.Join(h.lines, "\n")+"\n"), 0o600)
	}
	return h, nil
}

// add appends a line at once, so that chats side by side, and one that is killed, lose nothing.
func (h *history) add(line string) {
	if os.MkdirAll(filepath.Dir(h.file), 0o700) != nil {
		return
	}
	// Without waiting, as a FIFO that nobody reads would make it.
	f, err := os.OpenFile(h.file, os.O_APPEND|os.O_CREATE|os.O_WRONLY|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && textfile.CheckWritable(h.file, info) == nil {
		_, _ = f.WriteString(line + "\n")
	}
}
