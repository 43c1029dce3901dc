package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"golang.org/x/term"

	"github.com/glm4-metal/glm4-metal/model"
)

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// answerWriter writes an answer as it arrives: the answer itself to out, the model's reasoning to aside.
type answerWriter struct {
	out, aside       io.Writer
	outTTY, asideTTY bool
	reasoning        bool // the last thing written is an unfinished reasoning
	atLineStart      bool // of out
	err              error
}

func newAnswerWriter() *answerWriter {
	return &answerWriter{out: os.Stdout, aside: os.Stderr, outTTY: isTerminal(os.Stdout), asideTTY: isTerminal(os.Stderr), atLineStart: true}
}

// The sequences that make a terminal write faintly, and as before.
const (
	dim    = "\x1b[2m"
	normal = "\x1b[0m"
)

// write writes one piece and reports whether out still takes any.
func (w *answerWriter) write(d model.Delta) bool {
	switch {
	case d.Reasoning != "":
		if !w.reasoning {
			w.reasoning = true
			w.note(dim, "<think>\n")
		}
		w.note("", d.Reasoning)
	case d.Call != nil:
		w.endReasoning()
		w.freshLine()
		w.print(fmt.Sprintf("%s %s\n", d.Call.Name, d.Call.Arguments))
	case d.Text != "":
		w.endReasoning()
		w.print(d.Text)
	}
	return w.err == nil
}

// end finishes the answer's last line and gives the first error of out.
func (w *answerWriter) end() error {
	w.endReasoning()
	w.freshLine()
	return w.err
}

func (w *answerWriter) endReasoning() {
	if w.reasoning {
		w.reasoning = false
		w.note("", "\n</think>\n")
		w.note(normal, "")
	}
}

func (w *answerWriter) freshLine() {
	if !w.atLineStart {
		w.print("\n")
	}
}

func (w *answerWriter) print(text string) {
	if w.err != nil {
		return
	}
	w.atLineStart = strings.HasSuffix(text, "\n")
	if w.outTTY {
		text = printable(text)
	}
	_, w.err = io.WriteString(w.out, text)
}

func (w *answerWriter) note(style, text string) {
	if w.asideTTY {
		text = style + printable(text)
	}
	io.WriteString(w.aside, text)
}

// printable takes out the control characters with which a text could command a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, text)
}

// printJSON writes a value as one line.
func printJSON(v any) error {
	e := json.NewEncoder(os.Stdout)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
