package main

import (
	"io"
	"strings"
	"unicode"

	"github.com/mattn/go-runewidth"
)

// wordWrap breaks the lines of a text that arrives in pieces, which visible has made harmless, at a terminal's width. A
// word is written once its end is known, so that the text is late by a word at most. Nothing but line breaks is added,
// and none in code blocks between ``` or ~~~, which are there to be copied, nor inside a word.
type wordWrap struct {
	out   io.Writer
	width func() int // the terminal's columns; asked anew for each piece, as the window may have changed

	columns  int    // 0: lines are not broken
	column   int    // of the cursor
	gap      string // white space that has come and is not written
	word     []rune // behind it, not written
	size     int    // columns that word takes
	inWord   bool   // the word's beginning has been written: nothing fits it any more
	begun    bool   // the line has a word
	fence    string // the marks that opened the code block the text is in
	opening  bool   // the line opened it
	verbatim bool   // the line is not broken
	text     []byte // to be written
}

// minColumns is the narrowest terminal whose lines are broken between words.
const minColumns = 20

func (w *wordWrap) WriteString(text string) (int, error) {
	w.columns = w.width()
	if w.columns < minColumns {
		w.columns = 0
	}
	for _, r := range text {
		w.add(r)
	}
	return len(text), w.write()
}

// Flush writes what waits for its end.
func (w *wordWrap) Flush() error {
	w.endWord()
	w.space()
	return w.write()
}

func (w *wordWrap) write() error {
	_, err := w.out.Write(w.text)
	w.text = w.text[:0]
	return err
}

func (w *wordWrap) add(r rune) {
	switch r {
	case '\n':
		w.endWord()
		w.space()
		w.text = append(w.text, '\n')
		w.column, w.begun, w.opening, w.verbatim = 0, false, false, w.fence != ""
	case ' ', '\t':
		w.endWord()
		w.gap += string(r)
	default:
		if len(w.word) > 0 && mayBreak(w.word, r) {
			w.endWord()
		}
		w.size += runewidth.RuneWidth(r)
		if r == emojiSelector && len(w.word) > 0 && runewidth.RuneWidth(w.word[len(w.word)-1]) == 1 {
			w.size++
		}
		w.word = append(w.word, r)
		if w.size > max(w.columns, minColumns) {
			w.writeWord()
			w.inWord = true
		}
	}
}

func (w *wordWrap) endWord() {
	if len(w.word) > 0 {
		w.writeWord()
	}
	w.inWord = false
}

// writeWord breaks the line before the word where it does not fit. The last column takes a space, so that the cursor
// never waits behind a full line and makes two line breaks of one.
func (w *wordWrap) writeWord() {
	if w.inWord {
		w.put(w.word)
	} else {
		w.mark()
		end := w.column
		for _, r := range w.gap {
			end = after(end, r)
		}
		if w.columns > 0 && !w.verbatim && w.column > 0 && end+w.size >= w.columns {
			for w.gap != "" && w.column < w.columns {
				w.column = after(w.column, rune(w.gap[0]))
				w.text = append(w.text, w.gap[0])
				w.gap = w.gap[1:]
			}
			w.text = append(w.text, '\n')
			w.column = 0
		}
		w.space()
		w.put(w.word)
	}
	w.word, w.size = w.word[:0], 0
}

func (w *wordWrap) space() {
	for _, r := range w.gap {
		w.column = after(w.column, r)
	}
	w.text = append(w.text, w.gap...)
	w.gap = ""
}

func (w *wordWrap) put(word []rune) {
	w.text = append(w.text, string(word)...)
	if w.column += w.size; w.columns > 0 && w.column > w.columns { // the terminal itself broke the line
		w.column = (w.column-1)%w.columns + 1
	}
}

// after is the column behind a space or tab.
func after(column int, r rune) int {
	if r == '\t' {
		return (column/8 + 1) * 8
	}
	return column + 1
}

// mark looks whether the word opens or closes a block of code.
// Source: https://spec.commonmark.org/0.31.2/#fenced-code-blocks.
func (w *wordWrap) mark() {
	word := string(w.word)
	fence := word[:min(3, len(word))]
	switch {
	case w.opening && w.fence == "```" && strings.Contains(word, "`"), // such a line only quotes
		w.fence != "" && !w.begun && fence == w.fence:
		w.fence, w.opening, w.verbatim = "", false, !w.opening
	case w.fence == "" && !w.begun && (fence == "~~~" || fence == "```" && !strings.Contains(strings.TrimLeft(word, "`"),
		"`")):
		w.fence, w.opening, w.verbatim = fence, true, true
	}
	w.begun = true
}

const (
	emojiSelector   = 0xfe0f // shows the character before it as emoji
	zeroWidthJoiner = 0x200d
	// What follows the character before it in Chinese and Japanese, besides closing brackets and quotation marks.
	// Source: Unicode Standard Annex #14, classes CL, EX, IS, NS.
	followers = "、。，．：；！？％…‥・ー々〻ゝゞヽヾ!%,.:;?"
)

// mayBreak tells whether a line may end between a word and a character that no space separates: beside a wide one, as
// Chinese and Japanese are written.
func mayBreak(word []rune, r rune) bool {
	before := word[len(word)-1]
	base := before // without its marks
	for i := len(word) - 1; i > 0 && runewidth.RuneWidth(base) == 0; i-- {
		base = word[i-1]
	}
	switch {
	case runewidth.RuneWidth(base) < 2 && runewidth.RuneWidth(r) < 2,
		runewidth.RuneWidth(r) == 0, before == zeroWidthJoiner, r >= 0x1f3fb && r <= 0x1f3ff, // a tone of skin
		regional(before) && regional(r), // two are a flag
		unicode.In(r, unicode.Pe, unicode.Pf), strings.ContainsRune(followers, r), unicode.In(before, unicode.Ps, unicode.Pi):
		return false
	}
	return true
}

func regional(r rune) bool { return r >= 0x1f1e6 && r <= 0x1f1ff }
