// Package rewrite turns preprocessed Metal Shading Language into C++ that clang compiles for this machine.
//
// MSL is C++14 with address spaces, attributes that bind the parameters of kernels, and a few other words. The
// rewriter works on tokens: it does not know types, and leaves every judgement that needs them to clang. It produces
// two texts with the lines of the source:
//
//   - Exec, in which pointers are flat and kernels are plain functions, followed by the registration of the kernels
//     and function constants that the package's caller compiles and loads;
//   - Strict, in which the address spaces are those of OpenCL C++, only to be checked.
//
// What MSL forbids and C++ allows (double, recursion, threadgroup variables outside kernels, ...) is refused here.
package rewrite

import (
	"fmt"
	"strconv"
	"strings"
)

// An Error is something that the source may not contain, at a position of the preprocessed text.
type Error struct {
	Line, Column int
	Text         string
}

func (e Error) Error() string {
	return fmt.Sprintf("program_source:%d:%d: error: %s", e.Line, e.Column, e.Text)
}

type kind uint8

const (
	word kind = iota
	number
	text // string or character literal
	punctuation
)

// A token carries what is written in its place: its own text until an edit changes exec or strict.
type token struct {
	kind         kind
	text         string
	line, column int // 1-based, column in bytes of the preprocessed line
	exec, strict string
}

func (t *token) erase() { t.exec, t.strict = "", "" }

func (t *token) replace(s string) { t.exec, t.strict = s, s }

func isWordStart(c byte) bool {
	return c == '_' || c == '$' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// lex cuts the output of clang -E into tokens. Line markers set the line of what follows; pragmas are left out.
// Brackets are single tokens, so that >> closes two template argument lists.
func lex(source string) ([]token, error) {
	var tokens []token
	line := 1
	for len(source) > 0 {
		end := strings.IndexByte(source, '\n')
		row := source
		if end >= 0 {
			row, source = source[:end], source[end+1:]
		} else {
			source = ""
		}
		if trimmed := strings.TrimSpace(row); strings.HasPrefix(trimmed, "#") {
			fields := strings.Fields(trimmed)
			if n, ok := marker(fields); ok {
				line = n
				continue
			}
			line++
			continue
		}
		var err error
		if tokens, err = lexRow(tokens, row, line); err != nil {
			return nil, err
		}
		line++
	}
	return tokens, nil
}

// marker reads `# 12 "file" flags` and `#line 12`.
func marker(fields []string) (int, bool) {
	if len(fields) >= 2 && (fields[0] == "#" || fields[0] == "#line") {
		n, err := strconv.Atoi(fields[1])
		return n, err == nil
	}
	return 0, false
}

func lexRow(tokens []token, row string, line int) ([]token, error) {
	for i := 0; i < len(row); {
		c := row[i]
		start := i
		k := punctuation
		switch {
		case c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v':
			i++
			continue
		case isWordStart(c):
			k = word
			for i < len(row) && (isWordStart(row[i]) || isDigit(row[i])) {
				i++
			}
		case isDigit(c) || c == '.' && i+1 < len(row) && isDigit(row[i+1]):
			k = number
			i = endOfNumber(row, i)
		case c == '"' || c == '\'':
			k = text
			i++
			for i < len(row) && row[i] != c {
				if row[i] == '\\' {
					i++
				}
				i++
			}
			if i >= len(row) {
				return nil, Error{line, start + 1, "missing terminating " + string(c) + " character"}
			}
			i++
		case strings.HasPrefix(row[i:], "::"), strings.HasPrefix(row[i:], "->"), strings.HasPrefix(row[i:], "=="),
			strings.HasPrefix(row[i:], "!="), strings.HasPrefix(row[i:], "<="), strings.HasPrefix(row[i:], ">="),
			strings.HasPrefix(row[i:], "&&"), strings.HasPrefix(row[i:], "||"):
			i += 2
		default:
			i++
		}
		s := row[start:i]
		tokens = append(tokens, token{kind: k, text: s, line: line, column: start + 1, exec: s, strict: s})
	}
	return tokens, nil
}

// endOfNumber follows the grammar of a preprocessing number.
func endOfNumber(row string, i int) int {
	hex := len(row) > i+1 && row[i] == '0' && (row[i+1] == 'x' || row[i+1] == 'X')
	for i < len(row) {
		c := row[i]
		if c == '+' || c == '-' {
			e := row[i-1]
			if !(e == 'p' || e == 'P' || !hex && (e == 'e' || e == 'E')) {
				break
			}
		} else if !(isWordStart(c) || isDigit(c) || c == '.' || c == '\'') {
			break
		}
		i++
	}
	return i
}

// lower is for ASCII alone, so that offsets stay.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// rewriteNumber gives floating literals the types that they have in MSL: float without a suffix, half with h,
// bfloat with bf.
func rewriteNumber(t *token) {
	s := lower(t.text)
	hex := strings.HasPrefix(s, "0x")
	floating := strings.Contains(s, ".") || !hex && strings.Contains(s, "e") || hex && strings.Contains(s, "p")
	if !floating {
		if !hex && strings.HasSuffix(s, "h") { // 1h
			t.exec = t.text[:len(s)-1] + ".0f16"
		}
		return
	}
	switch {
	case strings.HasSuffix(s, "bf"):
		digits := t.text[:len(s)-2]
		t.exec, t.strict = "bfloat("+digits+"f)", digits+"f"
	case strings.HasSuffix(s, "h"):
		t.exec = t.text[:len(s)-1] + "f16"
	case strings.HasSuffix(s, "f") && (!hex || strings.Contains(s, "p")):
	default:
		t.replace(t.text + "f")
	}
}

// Marker reads a line marker of the preprocessor, `# 12 "file"`, and gives the number of the line after it.
func Marker(row string) (line int, ok bool) { return marker(strings.Fields(row)) }
