package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mattn/go-runewidth"
)

// narrowReader reads lines from the keyboard where a line editor has no room, or does not know how much: a window of a
// few columns, or of none, as docker exec gives it. What is typed stands where the cursor is; Backspace and Ctrl-U take
// it back.
type narrowReader struct {
	rest []byte // of a character
}

// readLine reads one byte after the other, as what follows the line belongs to the next reader.
func (n *narrowReader) readLine(keys *os.File, prompt string) (string, error) {
	fmt.Print(prompt)
	var line []rune
	escape := byte(0) // what of an escape sequence has come: ESC, and [ or O
	key := make([]byte, 1)
	for {
		if _, err := io.ReadFull(keys, key); err != nil {
			return "", io.EOF
		}
		b := key[0]
		switch {
		case escape == '[' || escape == 'O':
			if b >= '@' && b <= '~' {
				escape = 0
			}
			continue
		case escape == 0x1b && (b == '[' || b == 'O'):
			escape = b
			continue
		}
		escape = 0
		switch b {
		case '\r', '\n':
			fmt.Println()
			return string(line), nil
		case ctrlC:
			fmt.Println("^C")
			return "", errAborted
		case ctrlD:
			if len(line) == 0 {
				return "", io.EOF
			}
		case '\b', 0x7f:
			line = erase(line, 1)
		case ctrlU:
			line = erase(line, len(line))
		case 0x1b:
			escape = b
		default:
			n.rest = append(n.rest, b)
			if !utf8.FullRune(n.rest) {
				continue
			}
			r, _ := utf8.DecodeRune(n.rest)
			n.rest = n.rest[:0]
			if !unicode.IsControl(r) {
				line = append(line, r)
				fmt.Print(string(r))
			}
		}
	}
}

// erase takes n characters, and the marks upon them, off the line and off the screen.
func erase(line []rune, n int) []rune {
	for n > 0 && len(line) > 0 {
		width := runewidth.RuneWidth(line[len(line)-1])
		line = line[:len(line)-1]
		fmt.Print(strings.Repeat("\b", width) + strings.Repeat(" ", width) + strings.Repeat("\b", width))
		if width > 0 {
			n--
		}
	}
	return line
}
