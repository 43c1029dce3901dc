package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
)

// A lineReader asks the user for lines.
type lineReader interface {
	// ReadLine gives the next line, which holds line breaks where the user pasted them. It ends with io.EOF at the
	// end of the input, errAborted at Ctrl-C, and ctx's error when that is cancelled.
	ReadLine(ctx context.Context, prompt string) (string, error)
	// Typed tells whether a key other than Ctrl-C has been pressed since the last call.
	Typed() bool
	// Close gives the terminal back as it was.
	Close() error
}

var errAborted = errors.New("Ctrl-C at the prompt")

// plainReader reads from a pipe, a file, or a terminal that has no line editing.
type plainReader struct {
	in         *bufio.Reader
	showPrompt bool
}

func newPlainReader() *plainReader {
	return &plainReader{bufio.NewReader(os.Stdin), isTerminal(os.Stdin)}
}

func (r *plainReader) ReadLine(ctx context.Context, prompt string) (string, error) {
	if r.showPrompt {
		fmt.Fprint(os.Stderr, prompt)
	}
	type line struct {
		text string
		err  error
	}
	lines := make(chan line, 1)
	go func() { // a read cannot be cancelled; at worst this outlives the program's last moments
		text, err := r.in.ReadString('\n')
		if text != "" { // the last line may have no end
			err = nil
		}
		lines <- line{strings.TrimRight(text, "\r\n"), err}
	}()
	select {
	case l := <-lines:
		return l.text, l.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func (r *plainReader) Typed() bool { return false }

func (r *plainReader) Close() error { return nil }
