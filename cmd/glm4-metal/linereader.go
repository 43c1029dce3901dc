package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/glm4-metal/glm4-metal/internal/textfile"
)

// A lineReader asks the user for lines.
type lineReader interface {
	// ReadLine gives the next line, which holds line breaks where the user pasted them. It ends with io.EOF at the
	// end of the input, errAborted at Ctrl-C, errInterrupted when the terminal has gone, ctx's error when that is
	// cancelled, and a lineError for a line that cannot be used.
	ReadLine(ctx context.Context, prompt string) (string, error)
	// Typed tells whether a key other than Ctrl-C has been pressed since the last call.
	Typed() bool
	// Close gives the terminal back as it was.
	Close() error
}

var errAborted = errors.New("Ctrl-C at the prompt")

// lineError is about a line; the next one may be good.
type lineError struct{ error }

// maxLine is the longest line that is taken from a pipe.
const maxLine = 64 << 20

// plainReader reads from a pipe, a file, or a terminal that has no line editing.
type plainReader struct {
	in         *bufio.Reader
	line       int // its number
	showPrompt bool
}

func newPlainReader() *plainReader {
	return &plainReader{in: bufio.NewReaderSize(os.Stdin, 64<<10), showPrompt: isTerminal(os.Stdin)}
}

func (r *plainReader) ReadLine(ctx context.Context, prompt string) (string, error) {
	if r.showPrompt {
		fmt.Fprint(os.Stderr, prompt)
	}
	type result struct {
		text string
		err  error
	}
	lines := make(chan result, 1)
	go func() { // a read cannot be cancelled; at worst this outlives the program's last moments
		text, err := r.readLine()
		lines <- result{text, err}
	}()
	select {
	case l := <-lines:
		return l.text, l.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func (r *plainReader) readLine() (string, error) {
	r.line++
	name := fmt.Sprintf("standard input, line %d", r.line)
	var line []byte
	for {
		part, err := r.in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > maxLine:
			return "", fmt.Errorf("%s: more than %d bytes long, the most that a message may have", name, maxLine)
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(line) > 0: // the last line may have no end
		case err != nil:
			return "", err
		}
		text, err := textfile.Decode(name, bytes.TrimRight(line, "\r\n"))
		if err != nil {
			return "", lineError{err}
		}
		return string(text), nil
	}
}

func (r *plainReader) Typed() bool { return false }

func (r *plainReader) Close() error { return nil }
