// Package jsonmask reads one JSON object (RFC 8259) byte by byte and knows at each byte what may follow. It knows no
// tokens and no model: whoever masks ids steps a State over the bytes of each.
//
//	var s jsonmask.State
//	for _, c := range text {
//		next, ok := s.Step(c) // !ok: no object goes on with c
//		s = next
//	}
//	s.Done() // text is a whole object
//
// Text in strings has to be UTF-8. Of a \u escape only the digits are checked, as in encoding/json.
package jsonmask

import "strings"

// State is a place in the text of an object. The zero State is before it, where white space may come. A State is a
// value: a copy goes on from where it was made.
type State struct {
	place  place
	within within
	digits uint8 // of a number's integer or exponent, 255 for more
	depth  int
	kinds  uint64   // of the innermost containers, the innermost lowest: 1 for an object, 0 for an array
	below  *kinds64 // of those around them
}

type kinds64 struct {
	kinds uint64
	below *kinds64
}

// place is what has come last, or may come next.
type place uint8

const (
	beforeObject place = iota
	beforeFirstKey
	beforeKey
	inKey
	beforeColon
	beforeFirstItem
	beforeValue
	inString
	inWord
	afterMinus
	afterZero
	inInteger
	afterPoint
	inFraction
	afterE
	afterSign
	inExponent
	afterValue
	done
)

// within is a place within a string's escape or character; in a word, where in words its next letter is.
type within uint8

const (
	atCharacter within = iota
	afterBackslash
	digits4 // of a \u escape still to come
	digits3
	digits2
	digits1
	tail1 // bytes of a character still to come
	tail2
	tail3
	afterE0 // the second byte of these has a range of its own (Unicode, table 3-7)
	afterED
	afterF0
	afterF4
)

const words = "true,false,null,"

// Local is all that decides what may come next, up to the end of the innermost container: all of a State but the
// containers around that one.
type Local struct {
	place  place
	within within
	object bool
}

// Local gives a state's.
func (s State) Local() Local { return Local{s.place, s.within, s.kinds&1 == 1} }

// Done tells whether the object is whole; nothing may follow it.
func (s State) Done() bool { return s.place == done }

// Untouched tells whether nothing but white space has come.
func (s State) Untouched() bool { return s.place == beforeObject }

// Depth is the number of open objects and arrays. Step does not limit it.
func (s State) Depth() int { return s.depth }

// InString tells whether the next byte belongs to a string, or ends one.
func (s State) InString() bool { return s.place == inKey || s.place == inString }

// AtCharacter tells whether a whole character may come, or a string end: then text without quotes, backslashes and
// control characters changes nothing.
func (s State) AtCharacter() bool { return s.InString() && s.within == atCharacter }

// BehindKey tells whether a key has come, and not yet its colon.
func (s State) BehindKey() bool { return s.place == beforeColon }

// BehindValue tells whether a value has come whole, and nothing behind it but white space.
func (s State) BehindValue() bool { return s.place == afterValue }

// Extreme tells whether a number has come to more than 200 digits before its point, or 2 in its exponent, and so may be
// beyond a float64, which many readers take for an error. Local does not know.
func (s State) Extreme() bool {
	return s.place == inInteger && s.digits > 200 || s.place == inExponent && s.digits > 2
}

// InNumber tells whether a number has begun that may have more digits.
func (s State) InNumber() bool { return s.place == inInteger || s.place == inExponent }

// Step gives the state behind one more byte, and whether it may come here. Where it may not, the state is of no use.
func (s State) Step(c byte) (State, bool) {
	switch s.place {
	case inKey, inString:
		return s.character(c)
	case inWord:
		if c != words[s.within] || c == ',' {
			return s, false
		}
		if s.within++; words[s.within] == ',' {
			s.place, s.within = afterValue, 0
		}
		return s, true
	case afterMinus, afterZero, inInteger, afterPoint, inFraction, afterE, afterSign, inExponent:
		next, ok := number(s.place, c)
		if ok {
			if next != s.place {
				s.place, s.digits = next, 0
			}
			s.digits = min(s.digits, 254) + 1
			return s, true
		}
		if !ends(s.place) {
			return s, false
		}
		s.place = afterValue
	case done:
		return s, false
	}
	if c == ' ' || c == '\t' || c == '\n' || c == '\r' {
		return s, true
	}
	return s.structure(c)
}

// structure is Step for what is no string, word, number or white space.
func (s State) structure(c byte) (State, bool) {
	switch s.place {
	case beforeObject:
		if c == '{' {
			return s.open(1, beforeFirstKey), true
		}
	case beforeFirstKey, beforeKey:
		switch {
		case c == '"':
			s.place = inKey
			return s, true
		case c == '}' && s.place == beforeFirstKey:
			return s.close(), true
		}
	case beforeColon:
		s.place = beforeValue
		return s, c == ':'
	case beforeFirstItem, beforeValue:
		if c == ']' && s.place == beforeFirstItem {
			return s.close(), true
		}
		return s.value(c)
	case afterValue:
		object := s.kinds&1 == 1
		switch {
		case c == ',' && object:
			s.place = beforeKey
			return s, true
		case c == ',':
			s.place = beforeValue
			return s, true
		case c == '}' && object, c == ']' && !object:
			return s.close(), true
		}
	}
	return s, false
}

// value begins one.
func (s State) value(c byte) (State, bool) {
	switch {
	case c == '{':
		return s.open(1, beforeFirstKey), true
	case c == '[':
		return s.open(0, beforeFirstItem), true
	case c == '"':
		s.place = inString
	case c == '-':
		s.place = afterMinus
	case c == '0':
		s.place = afterZero
	case '1' <= c && c <= '9':
		s.place, s.digits = inInteger, 1
	case c == 't', c == 'f', c == 'n':
		s.place, s.within = inWord, within(strings.IndexByte(words, c)+1)
	default:
		return s, false
	}
	return s, true
}

func (s State) open(kind uint64, next place) State {
	if s.depth > 0 && s.depth%64 == 0 {
		s.below = &kinds64{s.kinds, s.below}
		s.kinds = 0
	}
	s.kinds = s.kinds<<1 | kind
	s.depth++
	s.place = next
	return s
}

func (s State) close() State {
	s.kinds >>= 1
	s.depth--
	s.place = afterValue
	switch {
	case s.depth == 0:
		s.place = done
	case s.depth%64 == 0:
		s.kinds, s.below = s.below.kinds, s.below.below
	}
	return s
}

// character is Step within a string.
func (s State) character(c byte) (State, bool) {
	low, high := byte(0x80), byte(0xbf)
	switch s.within {
	case atCharacter:
		return s.firstByte(c)
	case afterBackslash:
		s.within = atCharacter
		if c == 'u' {
			s.within = digits4
		}
		return s, strings.IndexByte(`"\/bfnrtu`, c) >= 0
	case digits4, digits3, digits2:
		s.within++
		return s, isHex(c)
	case digits1:
		s.within = atCharacter
		return s, isHex(c)
	case tail1:
		s.within = atCharacter
	case tail2:
		s.within = tail1
	case tail3:
		s.within = tail2
	case afterE0:
		s.within, low = tail1, 0xa0
	case afterED:
		s.within, high = tail1, 0x9f
	case afterF0:
		s.within, low = tail2, 0x90
	case afterF4:
		s.within, high = tail2, 0x8f
	}
	return s, low <= c && c <= high
}

func (s State) firstByte(c byte) (State, bool) {
	switch {
	case c == '\\':
		s.within = afterBackslash
	case c == '"' && s.place == inKey:
		s.place = beforeColon
	case c == '"':
		s.place = afterValue
	case c < 0x20, 0x80 <= c && c < 0xc2, c > 0xf4:
		return s, false
	case c < 0x80:
	case c < 0xe0:
		s.within = tail1
	case c == 0xe0:
		s.within = afterE0
	case c == 0xed:
		s.within = afterED
	case c < 0xf0:
		s.within = tail2
	case c == 0xf0:
		s.within = afterF0
	case c == 0xf4:
		s.within = afterF4
	default:
		s.within = tail3
	}
	return s, true
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// number gives the place in a number behind one more of its bytes.
func number(p place, c byte) (place, bool) {
	digit := '0' <= c && c <= '9'
	switch p {
	case afterMinus:
		if c == '0' {
			return afterZero, true
		}
		return inInteger, digit
	case afterZero, inInteger, inFraction:
		switch {
		case c == '.' && p != inFraction:
			return afterPoint, true
		case c == 'e', c == 'E':
			return afterE, true
		}
		return p, digit && p != afterZero
	case afterPoint:
		return inFraction, digit
	case afterE:
		if c == '+' || c == '-' {
			return afterSign, true
		}
		return inExponent, digit
	}
	return inExponent, digit
}

// ends tells whether a number may end here.
func ends(p place) bool {
	return p == afterZero || p == inInteger || p == inFraction || p == inExponent
}

// MaxLocal is the most that Missing can exceed Depth.
const MaxLocal = 8

// Missing is the length of Completion.
func (s State) Missing() int { return len(s.rest()) + s.depth }

// Completion appends the shortest text that makes the object whole. It has only ASCII bytes, but for a character that
// lacks some.
func (s State) Completion(text []byte) []byte {
	text = append(text, s.rest()...)
	if s.place == beforeObject {
		return text
	}
	for s.depth > 0 {
		closing := byte(']')
		if s.kinds&1 == 1 {
			closing = '}'
		}
		text = append(text, closing)
		s = s.close()
	}
	return text
}

// rest is the part of the completion that closes no container.
func (s State) rest() string {
	switch s.place {
	case beforeObject:
		return "{}"
	case beforeKey:
		return `"":0`
	case inKey:
		return characterRests[s.within] + `":0`
	case beforeColon:
		return ":0"
	case beforeValue, afterMinus, afterPoint, afterE, afterSign:
		return "0"
	case inString:
		return characterRests[s.within] + `"`
	case inWord:
		rest, _, _ := strings.Cut(words[s.within:], ",")
		return rest
	}
	return ""
}

// characterRests are the shortest ends of an escape or a character.
var characterRests = [...]string{
	afterBackslash: "n", digits4: "0000", digits3: "000", digits2: "00", digits1: "0",
	tail1: "\x80", tail2: "\x80\x80", tail3: "\x80\x80\x80",
	afterE0: "\xa0\x80", afterED: "\x80\x80", afterF0: "\x90\x80\x80", afterF4: "\x80\x80\x80",
}
