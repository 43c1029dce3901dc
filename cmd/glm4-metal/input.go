package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/glm4-metal/glm4-metal/internal/textfile"
)

// maxInput is the most bytes that are read of a text: a prompt, a file of messages, of tools.
const maxInput = 64 << 20

// aboutInput is the part of the help that says where the text comes from.
const aboutInput = `The text is what --prompt gives, or the arguments. In front of it stand the texts of --file, and
in front of these what is piped in, each without its last line end and with a blank line behind it. Standard input is
read where it is a pipe or a whole file, where there is no other text, and for -; </dev/null gives none, as a loop
needs, or a program that keeps a pipe open.
`

// inputText puts the text together that a verb works on: what is piped in, the files, and the prompt, which is the
// flag's or these words. isMore tells that the verb has messages too, so that there need not be any text.
func inputText(c *cli.Context, words []string, isMore bool) (string, error) {
	prompt, isPrompt := c.String("prompt"), c.IsSet("prompt")
	switch {
	case isPrompt && len(words) > 0:
		return "", usagef("unexpected argument %q beside %s; put a text of several words in quotes", words[0],
			asTyped(c, "prompt"))
	case len(words) > 0:
		text, err := textfile.Decode("the text", []byte(strings.Join(words, " ")))
		if err != nil {
			return "", usageError{err}
		}
		prompt, isPrompt = string(text), true
	}
	files := c.StringSlice("file")
	named := 0 // times that standard input is named
	for _, name := range append([]string{prompt, c.String("messages")}, files...) {
		if name == "-" {
			named++
		}
	}
	if named > 1 {
		return "", usagef("standard input (-) is named %d times, and can be read once", named)
	}

	var parts []string
	add := func(text []byte) {
		if part := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r"); part != "" {
			parts = append(parts, part)
		}
	}
	if named == 0 {
		alone := !isPrompt && len(files) == 0 && !isMore
		if alone && isTerminal(os.Stdin) {
			return "", usagef("there is no text; give it with --prompt TEXT, as an argument, or through a pipe")
		}
		if alone || isPiped(os.Stdin, os.Stderr) {
			text, err := readInput(c.Context)
			if err != nil {
				return "", err
			}
			add(text)
		}
	}
	for _, name := range files {
		text, err := readText(c.Context, name)
		if err != nil {
			return "", fmt.Errorf("%s: %w", asTyped(c, "file"), err)
		}
		add(text)
	}
	if prompt == "-" {
		text, err := readInput(c.Context)
		if err != nil {
			return "", err
		}
		add(text)
	} else if prompt != "" {
		parts = append(parts, prompt)
	}
	return strings.Join(parts, "\n\n"), nil
}

// readText reads a file, or standard input for "-".
func readText(ctx context.Context, name string) ([]byte, error) {
	switch name {
	case "":
		return nil, errors.New("the name of the file is empty")
	case "-":
		return readInput(ctx)
	}
	return textfile.Read(name, maxInput)
}

// isPiped tells whether text was piped in beside a prompt: from a pipe, or a file. A file that has been read from
// before belongs to a loop around the program, and a socket to a program that keeps it open, so that neither is read;
// aside is told so where there is something in it.
func isPiped(in *os.File, aside io.Writer) bool {
	info, err := in.Stat()
	if err != nil {
		return false
	}
	left := ""
	switch mode := info.Mode(); {
	case mode&fs.ModeNamedPipe != 0:
		return true
	case mode.IsRegular():
		at, err := in.Seek(0, io.SeekCurrent)
		if err != nil || at >= info.Size() {
			return false
		}
		if at == 0 {
			return true
		}
		left = "a file that has been read from before"
	case mode&fs.ModeSocket != 0:
		n, _, err := unix.Recvfrom(int(in.Fd()), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
		if err != nil || n == 0 {
			return false
		}
		left = "a socket"
	default: // /dev/null, a terminal
		return false
	}
	fmt.Fprintf(aside, "%s: standard input is %s and was not read; --file - reads it\n", program, left)
	return false
}

// readInput reads standard input to its end, and says that it does where that takes long.
func readInput(ctx context.Context) ([]byte, error) {
	patience := 5 * time.Second
	if isTerminal(os.Stderr) {
		patience = time.Second
	}
	notice := time.AfterFunc(patience, func() {
		fmt.Fprintf(os.Stderr, "%s: reading standard input to its end (</dev/null gives none)\n", program)
	})
	defer notice.Stop()
	type text struct {
		data []byte
		err  error
	}
	read := make(chan text, 1)
	go func() { // a read cannot be cancelled; at worst this outlives the program's last moments
		data, err := textfile.ReadAll("standard input", os.Stdin, maxInput)
		read <- text{data, err}
	}()
	select {
	case t := <-read:
		return t.data, t.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
