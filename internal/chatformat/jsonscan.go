package chatformat

import "encoding/json"

// objectScanner checks one JSON object byte by byte, so that a reply that only looks like a call is known for text at
// its first wrong character.
type objectScanner struct {
	stack  []byte // '{' and '['
	expect expectation
	key    bool   // the string being read is a key
	hex    int    // digits of a \u escape still to come
	scalar []byte // the number or literal being read
}

// maxJSONDepth is about where Python's json gives up, as does package jinja.
const maxJSONDepth = 900

type expectation int

const (
	expectObject expectation = iota // white space, then {
	expectFirstKey
	expectKey
	expectColon
	expectFirstItem
	expectValue
	expectComma // or the end of the container
	inString
	inEscape
	inScalar
)

type scanResult int

const (
	scanMore scanResult = iota
	scanDone
	scanError
)

// untouched says that only white space has come so far.
func (s *objectScanner) untouched() bool { return s.expect == expectObject }

func (s *objectScanner) step(c byte) scanResult {
	switch s.expect {
	case inString:
		switch {
		case s.hex > 0:
			if !isHex(c) {
				return scanError
			}
			s.hex--
		case c == '\\':
			s.expect = inEscape
		case c == '"' && s.key:
			s.expect = expectColon
		case c == '"':
			s.expect = expectComma
		case c < 0x20:
			return scanError
		}
		return scanMore
	case inEscape:
		s.expect = inString
		switch c {
		case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		case 'u':
			s.hex = 4
		default:
			return scanError
		}
		return scanMore
	case inScalar:
		if isScalar(c) {
			s.scalar = append(s.scalar, c)
			return scanMore
		}
		if !json.Valid(s.scalar) {
			return scanError
		}
		s.expect = expectComma
	}
	if c == ' ' || c == '\t' || c == '\n' || c == '\r' {
		return scanMore
	}
	switch s.expect {
	case expectObject:
		if c != '{' {
			return scanError
		}
		return s.open(c)
	case expectFirstKey, expectKey:
		switch {
		case c == '"':
			s.expect, s.key = inString, true
		case c == '}' && s.expect == expectFirstKey:
			return s.close()
		default:
			return scanError
		}
	case expectColon:
		if c != ':' {
			return scanError
		}
		s.expect = expectValue
	case expectFirstItem, expectValue:
		switch {
		case c == ']' && s.expect == expectFirstItem:
			return s.close()
		case c == '{' || c == '[':
			return s.open(c)
		case c == '"':
			s.expect, s.key = inString, false
		case c == '-' || c >= '0' && c <= '9' || c == 't' || c == 'f' || c == 'n':
			s.expect, s.scalar = inScalar, append(s.scalar[:0], c)
		default:
			return scanError
		}
	case expectComma:
		top := s.stack[len(s.stack)-1]
		switch {
		case c == ',' && top == '{':
			s.expect = expectKey
		case c == ',':
			s.expect = expectValue
		case c == '}' && top == '{', c == ']' && top == '[':
			return s.close()
		default:
			return scanError
		}
	}
	return scanMore
}

func (s *objectScanner) open(c byte) scanResult {
	if len(s.stack) >= maxJSONDepth {
		return scanError
	}
	s.stack = append(s.stack, c)
	s.expect = expectFirstKey
	if c == '[' {
		s.expect = expectFirstItem
	}
	return scanMore
}

func (s *objectScanner) close() scanResult {
	s.stack = s.stack[:len(s.stack)-1]
	if len(s.stack) == 0 {
		return scanDone
	}
	s.expect = expectComma
	return scanMore
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func isScalar(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '+' || c == '-' || c == '.'
}
