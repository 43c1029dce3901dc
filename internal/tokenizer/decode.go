package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// DecodeBytes returns the bytes that ids stand for, special tokens as their text, unknown ids as nothing.
func (t *Tokenizer) DecodeBytes(ids []int32) []byte {
	var text []byte
	for _, id := range ids {
		if t.vocabulary.has(id) {
			text = append(text, t.vocabulary.token(id)...)
		}
	}
	return text
}

// Decode returns the text that ids stand for, special tokens as their text, unknown ids as nothing.
// Bytes that are no UTF-8 become U+FFFD, one for each longest run that could begin a character.
func (t *Tokenizer) Decode(ids []int32) string {
	text := string(t.DecodeBytes(ids))
	if utf8.ValidString(text) {
		return text
	}
	var whole strings.Builder
	held := writeText(&whole, text)
	if held < len(text) {
		whole.WriteRune(utf8.RuneError)
	}
	return whole.String()
}

// Decoder turns ids into text as they arrive. All that it returns, strung together, is the Decode of all ids
// without the special ones. It is not safe for concurrent use.
type Decoder struct {
	tokenizer *Tokenizer
	held      []byte // the beginning of a character
}

// NewDecoder returns a decoder at the start of a text.
func (t *Tokenizer) NewDecoder() *Decoder { return &Decoder{tokenizer: t} }

// Next takes one more token and returns the characters that are whole now: none for a special token, for an unknown id,
// and while bytes of a character are missing.
func (d *Decoder) Next(id int32) string {
	t := d.tokenizer
	if !t.vocabulary.has(id) || t.added.special[id] {
		return ""
	}
	text := t.vocabulary.token(id)
	if len(d.held) == 0 && utf8.ValidString(text) {
		return text
	}
	text = string(d.held) + text
	var whole strings.Builder
	n := writeText(&whole, text)
	d.held = append(d.held[:0], text[n:]...)
	return whole.String()
}

// Flush ends the text: it returns U+FFFD for a character whose last bytes never came, and nothing otherwise.
func (d *Decoder) Flush() string {
	if len(d.held) == 0 {
		return ""
	}
	d.held = d.held[:0]
	return string(utf8.RuneError)
}

// writeText writes text with U+FFFD in place of what is no UTF-8 and returns how far it came:
// to the end, or to the beginning of a character that text breaks off in.
func writeText(whole *strings.Builder, text string) int {
	for i := 0; i < len(text); {
		size, state := sequence(text[i:])
		switch state {
		case complete:
			whole.WriteString(text[i : i+size])
		case broken:
			whole.WriteRune(utf8.RuneError)
		case unfinished:
			return i
		}
		i += size
	}
	return len(text)
}

type sequenceState int

const (
	complete   sequenceState = iota
	broken                   // these bytes begin no character
	unfinished               // the text ends before the character does
)

// sequence looks at the bytes of one character. Those of a broken one are the longest that could have begun a
// character: "substitution of maximal subparts", Unicode 16.0, section 3.9.6 and table 3-7.
func sequence(text string) (size int, state sequenceState) {
	lead := text[0]
	low, high := byte(0x80), byte(0xBF) // of the second byte
	length := 0
	switch {
	case lead < 0x80:
		return 1, complete
	case lead >= 0xC2 && lead <= 0xDF:
		length = 2
	case lead >= 0xE0 && lead <= 0xEF:
		length = 3
	case lead >= 0xF0 && lead <= 0xF4:
		length = 4
	default:
		return 1, broken
	}
	switch lead {
	case 0xE0:
		low = 0xA0 // shorter forms exist
	case 0xED:
		high = 0x9F // surrogates
	case 0xF0:
		low = 0x90 // shorter forms exist
	case 0xF4:
		high = 0x8F // beyond U+10FFFF
	}
	for n := 1; n < length; n++ {
		if n == len(text) {
			return n, unfinished
		}
		if text[n] < low || text[n] > high {
			return n, broken
		}
		low, high = 0x80, 0xBF
	}
	return length, complete
}
