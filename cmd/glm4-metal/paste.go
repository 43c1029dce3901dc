package main

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// What a terminal writes before and behind a pasted text (bracketed paste).
const (
	pasteStart = "\x1b[200~"
	pasteEnd   = "\x1b[201~"
)

// pasteFilter passes on what a terminal sends and replaces each pasted text by what fold makes of it.
type pasteFilter struct {
	fold func(text string) string

	matched int    // how much of pasteStart has come
	passed  bool   // and part of that has been passed on
	inside  bool   // between pasteStart and pasteEnd
	text    []byte // what has come since pasteStart
	out     []byte
}

// filter takes the next bytes. Outside a paste it keeps none back: Escape is a key of its own. What it gives is valid
// until the next call.
func (f *pasteFilter) filter(in []byte) []byte {
	f.out = f.out[:0]
	held := 0 // matched bytes that have not been passed on
	for _, b := range in {
		switch {
		case f.inside:
			f.text = append(f.text, b)
			if text, ok := bytes.CutSuffix(f.text, []byte(pasteEnd)); ok {
				f.out = append(f.out, f.fold(string(text))...)
				f.inside, f.text = false, nil
			}
		case b == pasteStart[f.matched]:
			f.matched++
			held++
			if f.matched < len(pasteStart) {
				continue
			}
			if f.passed { // the reader knows the sequence's beginning, and ignores it when it is whole
				f.out = append(f.out, pasteStart[len(pasteStart)-held:]...)
			}
			f.inside, f.matched, f.passed, held = true, 0, false, 0
		default:
			f.out = append(f.out, pasteStart[f.matched-held:f.matched]...)
			f.matched, f.passed, held = 0, false, 0
			if b == pasteStart[0] {
				f.matched, held = 1, 1
			} else {
				f.out = append(f.out, b)
			}
		}
	}
	if held > 0 {
		f.out = append(f.out, pasteStart[f.matched-held:f.matched]...)
		f.passed = true
	}
	return f.out
}

// pastes stands in for pasted texts in a line that is edited on one screen: a short one shows its line breaks and
// tabs as symbols, a long one, or one that a terminal might obey, is folded into a label.
type pastes struct {
	mu     sync.Mutex
	labels []string // with the text of each behind it, as strings.NewReplacer takes them
}

// The symbols for a line break and a tab, of Unicode's block Control Pictures.
const (
	lineBreakSymbol = "␤"
	tabSymbol       = "␉"
)

// shortPaste is how many characters of a paste are shown in the line.
const shortPaste = 300

// fold gives the stand-in for a pasted text. Line breaks at its end are dropped: Enter sends the message. So are the
// control characters, which would act as keys.
func (p *pastes) fold(text string) string {
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(strings.ToValidUTF8(text, string(utf8.RuneError)))
	text = strings.TrimRight(withoutControls(text), "\n")
	count := utf8.RuneCountInString(text)
	if count <= shortPaste && !strings.Contains(text, lineBreakSymbol) && !strings.Contains(text, tabSymbol) &&
		visible(text) == text {
		return strings.NewReplacer("\n", lineBreakSymbol, "\t", tabSymbol).Replace(text)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	label := fmt.Sprintf("[paste %d: %d characters in %d lines]", len(p.labels)/2+1, count, strings.Count(text, "\n")+1)
	p.labels = append(p.labels, label, text)
	return label
}

func withoutControls(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, text)
}

// unfold gives the line with the texts in place of the stand-ins.
func (p *pastes) unfold(line string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	pairs := append([]string{lineBreakSymbol, "\n", tabSymbol, "\t"}, p.labels...)
	return strings.NewReplacer(pairs...).Replace(line)
}

// in tells whether a line holds a label, which is worth nothing when the program has ended.
func (p *pastes) in(line string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := 0; i < len(p.labels); i += 2 {
		if strings.Contains(line, p.labels[i]) {
			return true
		}
	}
	return false
}
