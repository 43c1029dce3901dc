package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/urfave/cli/v2"

	"github.com/glm4-metal/glm4-metal/model"
)

// The ways of --reasoning.
const (
	reasoningShow = "show"
	reasoningHide = "hide"
	reasoningOff  = "off"
)

// answerFlags say how an answer is written.
func answerFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "reasoning", Value: reasoningShow,
			Usage: "`HOW` reasoning is treated: show (on standard error), hide, or off: none"},
		&cli.BoolFlag{Name: "no-wrap", Usage: "on a terminal, do not break the lines of an answer between words"},
	}
}

// answerStyle is what answerFlags say.
type answerStyle struct {
	reasoning string
	noWrap    bool
}

func readAnswerStyle(c *cli.Context) (answerStyle, error) {
	s := answerStyle{c.String("reasoning"), c.Bool("no-wrap")}
	if err := checkReasoning(s.reasoning); err != nil {
		return s, usagef("--reasoning %w", err)
	}
	return s, nil
}

func checkReasoning(how string) error {
	switch how {
	case reasoningShow, reasoningHide, reasoningOff:
		return nil
	}
	return fmt.Errorf("is %q; it must be %s, %s or %s", how, reasoningShow, reasoningHide, reasoningOff)
}

// limit leaves the reasoning out, where it is off.
func (s answerStyle) limit(o *model.Options) {
	if s.reasoning == reasoningOff {
		o.MaxReasoning = -1
	}
}

// answerWriter writes an answer as it arrives: the answer itself to out, the model's reasoning to aside.
type answerWriter struct {
	out, aside  textWriter
	calls       textWriter // as out, but without breaks in lines, which would not be JSON any more
	dim         io.Writer  // the terminal of aside where it can be told to write faintly, else nil
	hidden      bool       // reasoning is not written
	thinking    *progress  // shown in the place of a hidden one, nil when there is none
	reasoning   bool       // the last thing written is an unfinished reasoning
	atLineStart bool       // of out
	err         error
}

// textWriter takes text in pieces, and may keep its end back until Flush.
type textWriter interface {
	io.StringWriter
	Flush() error
}

func newAnswerWriter(style answerStyle) *answerWriter {
	w := &answerWriter{
		out: newTextWriter(os.Stdout, style.noWrap), aside: newTextWriter(os.Stderr, style.noWrap),
		calls:  newTextWriter(os.Stdout, true),
		hidden: style.reasoning != reasoningShow, atLineStart: true,
	}
	if isTerminal(os.Stderr) && hasColours() {
		w.dim = os.Stderr
	}
	return w
}

func newTextWriter(f *os.File, noWrap bool) textWriter {
	switch {
	case !isTerminal(f):
		return untouched{f}
	case noWrap:
		return &visibleWriter{out: untouched{f}}
	}
	wrap := &wordWrap{out: f, width: func() int { return columns(f) }}
	return &visibleWriter{out: wrap}
}

// untouched is a file or pipe, which gets a text as it is.
type untouched struct{ *os.File }

func (untouched) Flush() error { return nil }

// write writes what an event brings and reports whether out still takes any.
func (w *answerWriter) write(e model.Event) bool {
	switch {
	case e.Reasoning != "":
		w.beginReasoning()
		if !w.hidden {
			w.aside.WriteString(e.Reasoning)
		}
	case e.Call != nil:
		w.endReasoning()
		w.freshLine()
		w.flush()
		w.printTo(w.calls, fmt.Sprintf("%s %s\n", e.Call.Name, e.Call.Arguments))
	case e.Text != "":
		w.endReasoning()
		w.print(e.Text)
	}
	return w.err == nil
}

// end finishes the answer's last line and gives the first error of out.
func (w *answerWriter) end() error {
	w.endReasoning()
	w.freshLine()
	w.flush()
	return w.err
}

func (w *answerWriter) beginReasoning() {
	if w.reasoning {
		return
	}
	w.flush()
	w.reasoning = true
	if w.hidden {
		w.thinking = startProgress("thinking", nil)
		return
	}
	w.setDim(true)
	w.aside.WriteString("<think>\n")
}

func (w *answerWriter) endReasoning() {
	if !w.reasoning {
		return
	}
	w.reasoning = false
	w.thinking.stop()
	if !w.hidden {
		w.aside.WriteString("\n</think>\n")
		w.aside.Flush()
		w.setDim(false)
	}
}

func (w *answerWriter) setDim(on bool) {
	if w.dim != nil {
		setDim(w.dim, on)
	}
}

func (w *answerWriter) freshLine() {
	if !w.atLineStart {
		w.print("\n")
	}
}

func (w *answerWriter) print(text string) { w.printTo(w.out, text) }

func (w *answerWriter) printTo(out textWriter, text string) {
	if w.err == nil {
		w.atLineStart = strings.HasSuffix(text, "\n")
		_, w.err = out.WriteString(text)
	}
}

func (w *answerWriter) flush() {
	if w.err == nil {
		w.err = w.out.Flush()
	}
}

// say writes a line to standard error.
func say(format string, args ...any) {
	fmt.Fprintln(os.Stderr, visibleLine(fmt.Sprintf(format, args...)))
}

// printText writes a stranger's text to standard output: visible on a terminal, elsewhere as it is.
func printText(text string) error {
	if isTerminal(os.Stdout) {
		text = visible(text)
	}
	_, err := io.WriteString(os.Stdout, text)
	return err
}

// printJSON writes a value as one line. What could command a terminal is escaped as JSON does it.
func printJSON(v any) error {
	var line bytes.Buffer
	e := json.NewEncoder(&line)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	var out strings.Builder
	for _, r := range line.String() {
		switch {
		case r == '\n' || !commands(r, 0):
			out.WriteRune(r)
		case r <= 0xffff:
			fmt.Fprintf(&out, `\u%04x`, r)
		default:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		}
	}
	_, err := io.WriteString(os.Stdout, out.String())
	return err
}

// gigabytes writes a size for people, in GB or MB of 1000.
func gigabytes(n int64) string {
	if n < 1e9 {
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.2f GB", float64(n)/1e9)
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
