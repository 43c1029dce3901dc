package main

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// visible makes a stranger's text harmless for a terminal: what could command it, or turn the order of what is read
// around, is spelled out as in the string literals of Go, C and Python: \x1b, \u202e. That form is printable ASCII, and
// says which character it was. Line breaks and tabs stay.
func visible(text string) string { return spellOut(text, "\n\t") }

// visibleLine is visible for places of one line: line breaks and tabs are spelled out, too.
func visibleLine(text string) string { return spellOut(text, "") }

func spellOut(text, keep string) string {
	at := 0
	for at < len(text) {
		if r, n := utf8.DecodeRuneInString(text[at:]); commands(r, n) && !strings.ContainsRune(keep, r) {
			break
		} else {
			at += n
		}
	}
	if at == len(text) {
		return text
	}
	var out strings.Builder
	out.WriteString(text[:at])
	for at < len(text) {
		r, n := utf8.DecodeRuneInString(text[at:])
		switch {
		case !commands(r, n) || strings.ContainsRune(keep, r):
			out.WriteString(text[at : at+n])
		case r == utf8.RuneError:
			fmt.Fprintf(&out, `\x%02x`, text[at])
		case r == '\n':
			out.WriteString(`\n`)
		case r == '\t':
			out.WriteString(`\t`)
		case r < utf8.RuneSelf:
			fmt.Fprintf(&out, `\x%02x`, r)
		case r <= 0xffff:
			fmt.Fprintf(&out, `\u%04x`, r)
		default:
			fmt.Fprintf(&out, `\U%08x`, r)
		}
		at += n
	}
	return out.String()
}

// unseen are the characters without a shape of their own that change what is around them: bidirectional marks,
// embeddings, overrides and isolates (Unicode Standard Annex #9; Boucher and Anderson, "Trojan Source", 2021), the
// separators of lines and paragraphs, and tags. Joiners and selectors stay: languages and emoji need them.
var unseen = &unicode.RangeTable{
	R16: []unicode.Range16{{0x061c, 0x061c, 1}, {0x200e, 0x200f, 1}, {0x2028, 0x202e, 1}, {0x2066, 0x206f, 1}},
	R32: []unicode.Range32{{0xe0000, 0xe007f, 1}},
}

// commands tells whether a terminal may act on a character of n bytes: control characters of both sets, bytes that are
// no UTF-8 (some terminals take 0x80 to 0x9f for controls), and the unseen.
func commands(r rune, n int) bool {
	return unicode.IsControl(r) || r == utf8.RuneError && n == 1 || r > utf8.RuneSelf && unicode.Is(unseen, r)
}

// visibleWriter makes a text that arrives in pieces visible. A character that is cut between two of them waits for its
// rest.
type visibleWriter struct {
	out  textWriter
	rest string
}

func (w *visibleWriter) WriteString(text string) (int, error) {
	text = w.rest + text
	cut := len(text)
	for back := 1; back < utf8.UTFMax && back <= len(text); back++ {
		if first := text[len(text)-back]; utf8.RuneStart(first) {
			if !utf8.FullRuneInString(text[len(text)-back:]) {
				cut = len(text) - back
			}
			break
		}
	}
	w.rest = text[cut:]
	return w.out.WriteString(visible(text[:cut]))
}

// Flush writes what waits.
func (w *visibleWriter) Flush() error {
	_, err := w.out.WriteString(visible(w.rest))
	w.rest = ""
	return errors.Join(err, w.out.Flush())
}
