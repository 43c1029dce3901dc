package jinja

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

type tokenKind int

const (
	endToken tokenKind = iota // of the tag
	nameToken
	stringToken
	integerToken
	floatToken
	operatorToken
)

// token is a word or sign of a tag. text is a string's value.
type token struct {
	kind tokenKind
	text string
}

// is says whether the token is this operator or word.
func (t token) is(text string) bool {
	return t.text == text && (t.kind == operatorToken || t.kind == nameToken)
}

func (t token) String() string {
	if t.kind == endToken {
		return "the end of the tag"
	}
	return fmt.Sprintf("%.40q", t.text)
}

var (
	longOperators  = []string{"//", "**", "==", "!=", ">=", "<="}
	shortOperators = "+-/*%~[](){}><=.:|,"
)

// nextToken reads the token at the start of s and says how long it is. Behind a dot there are no fractions.
func nextToken(s string, behindDot bool) (token, int, error) {
	c := s[0]
	switch {
	case c == '\'' || c == '"':
		text, n, err := unquote(s)
		return token{stringToken, text}, n, err
	case isLetter(c):
		n := 1
		for n < len(s) && (isLetter(s[n]) || isDigit(s[n])) {
			n++
		}
		if n < len(s) && s[n] >= utf8.RuneSelf {
			return token{}, 0, errors.New("names beyond ASCII are not supported")
		}
		return token{nameToken, s[:n]}, n, nil
	case isDigit(c):
		return number(s, behindDot)
	}
	for _, op := range longOperators {
		if strings.HasPrefix(s, op) {
			return token{operatorToken, op}, 2, nil
		}
	}
	if strings.IndexByte(shortOperators, c) >= 0 {
		return token{operatorToken, s[:1]}, 1, nil
	}
	r, _ := utf8.DecodeRuneInString(s)
	return token{}, 0, fmt.Errorf("unexpected %q", r)
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }

func digits(s string) int {
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return n
}

// number reads a plain decimal number: other spellings are refused.
func number(s string, behindDot bool) (token, int, error) {
	n := digits(s)
	kind, tooLong := integerToken, n > 18
	if !behindDot && n+1 < len(s) && s[n] == '.' && isDigit(s[n+1]) {
		fraction := digits(s[n+1:])
		kind, tooLong = floatToken, n > 15 || fraction > 15
		n += 1 + fraction
	}
	if tooLong || kind == integerToken && n > 1 && s[0] == '0' || n < len(s) && (isLetter(s[n]) || s[n] >= utf8.RuneSelf) {
		return token{}, 0, fmt.Errorf("number %.40q is not supported", s[:min(n+1, len(s))])
	}
	return token{kind, s[:n]}, n, nil
}

// unquote reads the Python string literal at the start of s and says how long it is.
func unquote(s string) (string, int, error) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == s[0]:
			return b.String(), i + 1, nil
		case c != '\\':
			b.WriteByte(c)
			continue
		}
		i++
		if i == len(s) {
			break
		}
		c := s[i]
		if plain, found := plainEscapes[c]; found {
			b.WriteString(plain)
			continue
		}
		digits := hexDigits[c]
		switch {
		case digits > 0:
			if i+digits >= len(s) {
				return "", 0, fmt.Errorf(`bad escape \%c in a string`, c)
			}
			n, err := strconv.ParseUint(s[i+1:i+1+digits], 16, 32)
			if err != nil || !utf8.ValidRune(rune(n)) {
				return "", 0, fmt.Errorf(`bad escape \%c in a string`, c)
			}
			b.WriteRune(rune(n))
			i += digits
		case c >= '0' && c <= '7' || c == 'N' || c >= utf8.RuneSelf:
			return "", 0, errors.New("octal, named and non-ASCII escapes in strings are not supported")
		default:
			b.WriteByte('\\')
			b.WriteByte(c)
		}
	}
	return "", 0, fmt.Errorf("string is not closed by %c", s[0])
}

var hexDigits = map[byte]int{'x': 2, 'u': 4, 'U': 8}

var plainEscapes = map[byte]string{
	'n': "\n", 't': "\t", 'r': "\r", 'a': "\a", 'b': "\b", 'f': "\f", 'v': "\v", '\\': "\\", '\'': "'", '"': "\"",
	'\n': "",
}
