package jinja

import (
	"iter"
	"sort"
	"strings"
)

// Text is a string that knows of each character where it came from: it is a literal of the template, or data. The zero
// Text is empty.
type Text struct {
	s       string
	literal bool  // the origin of the first character
	turns   []int // where the origin changes, as offsets from -base
	base    int
}

// Literal is text of the template's own, or of one who is trusted as much.
func Literal(s string) Text { return Text{s: s, literal: true} }

// Data is text that came from elsewhere.
func Data(s string) Text { return Text{s: s} }

// String returns the text itself.
func (t Text) String() string { return t.s }

// Runs yields the longest parts of one origin, and whether they are literal.
func (t Text) Runs() iter.Seq2[string, bool] {
	return func(yield func(string, bool) bool) {
		from, literal := 0, t.literal
		for _, turn := range t.turns {
			if !yield(t.s[from:turn-t.base], literal) {
				return
			}
			from, literal = turn-t.base, !literal
		}
		if from < len(t.s) {
			yield(t.s[from:], literal)
		}
	}
}

// slice is the text between two offsets in bytes. It shares memory with t.
func (t Text) slice(from, to int) Text {
	if from >= to {
		return Text{}
	}
	if len(t.turns) == 0 {
		return Text{s: t.s[from:to], literal: t.literal}
	}
	first := sort.SearchInts(t.turns, t.base+from+1)
	last := sort.SearchInts(t.turns, t.base+to)
	return Text{t.s[from:to], t.literal != (first%2 == 1), t.turns[first:last], t.base + from}
}

// size is what the text takes in memory, in bytes, when it is put together piece by piece.
func (t Text) size() int { return len(t.s) + 24*len(t.turns) }

// textBuilder puts a text together. Long parts are kept as they are until the end, so that no more memory is taken than
// for them and the whole. The zero textBuilder is empty.
type textBuilder struct {
	parts   []string
	chunk   []byte // what follows the parts
	n       int    // bytes in all
	literal bool   // the origin of the first character
	turns   []int
}

const (
	longPart = 1024
	maxChunk = 4096
)

func (b *textBuilder) add(t Text) {
	at := b.n
	b.write(t.s, t.literal)
	for _, turn := range t.turns {
		b.turns = append(b.turns, at+turn-t.base)
	}
}

func (b *textBuilder) addData(s string) { b.write(s, false) }

// write adds s, whose first character has this origin.
func (b *textBuilder) write(s string, literal bool) {
	switch {
	case s == "":
		return
	case b.n == 0:
		b.literal = literal
	case literal != (b.literal != (len(b.turns)%2 == 1)):
		b.turns = append(b.turns, b.n)
	}
	b.n += len(s)
	if len(s) >= longPart || len(b.chunk)+len(s) > maxChunk {
		b.flush()
	}
	if len(s) >= longPart {
		b.parts = append(b.parts, s)
		return
	}
	b.chunk = append(b.chunk, s...)
}

func (b *textBuilder) flush() {
	if len(b.chunk) > 0 {
		b.parts = append(b.parts, string(b.chunk))
		b.chunk = b.chunk[:0]
	}
}

func (b *textBuilder) text() Text {
	b.flush()
	s := ""
	if len(b.parts) == 1 {
		s = b.parts[0]
	} else {
		s = strings.Join(b.parts, "")
	}
	return Text{s: s, literal: b.literal, turns: b.turns}
}
