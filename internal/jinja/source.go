package jinja

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxSource is the longest template that is read, in bytes; published ones are below 20 KB.
const MaxSource = 1 << 20

const (
	maxTag     = 64 * 1024 // bytes between {{ and }}
	maxTokens  = 4096      // of one tag
	maxNesting = 64        // of blocks and of brackets
)

// piece is what a template is a sequence of: some text, then a tag, either of which may be missing.
type piece struct {
	text   string
	kind   byte // '{' for {{ }}, '%' for {% %}, 0 for none
	tokens []token
	end    bool // nothing follows
}

// scanner cuts a template up as jinja2's lexer does. White space control is done as transformers sets it: trim_blocks
// and lstrip_blocks.
type scanner struct {
	src          string
	pos          int
	lineStarting bool // the tag before the current text took a line's end with it
}

func newScanner(source string) (*scanner, error) {
	if len(source) > MaxSource {
		return nil, fmt.Errorf("%d bytes long: at most %d are read", len(source), MaxSource)
	}
	if !utf8.ValidString(source) {
		return nil, errors.New("not valid UTF-8")
	}
	src := strings.ReplaceAll(strings.ReplaceAll(source, "\r\n", "\n"), "\r", "\n")
	return &scanner{src: strings.TrimSuffix(src, "\n"), lineStarting: true}, nil
}

// at adds the line to an error.
func (s *scanner) at(err error) error {
	return fmt.Errorf("line %d: %w", 1+strings.Count(s.src[:min(s.pos, len(s.src))], "\n"), err)
}

// next reads text and the tag that ends it; a comment is a tag of no kind.
func (s *scanner) next() (piece, error) {
	rest := s.src[s.pos:]
	at := tagStart(rest)
	if at < 0 {
		s.pos = len(s.src)
		return piece{text: rest, end: true}, nil
	}
	text, kind := rest[:at], rest[at+1]
	s.pos += at + 2
	sign := byte(0)
	if s.pos < len(s.src) && (s.src[s.pos] == '-' || s.src[s.pos] == '+') {
		sign = s.src[s.pos]
		s.pos++
	}
	switch {
	case sign == '-':
		text = strings.TrimRightFunc(text, isSpace)
	case sign == 0 && kind != '{':
		line := strings.LastIndexByte(text, '\n') + 1
		if (line > 0 || s.lineStarting) && strings.TrimFunc(text[line:], isSpace) == "" {
			text = text[:line]
		}
	}
	if kind == '#' {
		return piece{text: text}, s.comment()
	}
	tokens, err := s.tag(kind)
	return piece{text: text, kind: kind, tokens: tokens}, err
}

var opening = map[byte]byte{')': '(', ']': '[', '}': '{'}

func tagStart(s string) int {
	for from := 0; ; {
		at := strings.IndexByte(s[from:], '{')
		if at < 0 || from+at+1 >= len(s) {
			return -1
		}
		if from += at; strings.IndexByte("{%#", s[from+1]) >= 0 {
			return from
		}
		from++
	}
}

func (s *scanner) comment() error {
	end := strings.Index(s.src[s.pos:], "#}")
	if end < 0 {
		return errors.New("comment is not closed by #}")
	}
	sign := byte(0)
	if end > 0 {
		sign = s.src[s.pos+end-1]
	}
	s.pos += end + 2
	s.afterTag(sign, true)
	return nil
}

// afterTag takes the white space that belongs to a tag's end.
func (s *scanner) afterTag(sign byte, trim bool) {
	start := s.pos
	switch {
	case sign == '-':
		s.pos = len(s.src) - len(strings.TrimLeftFunc(s.src[s.pos:], isSpace))
	case sign != '+' && trim && strings.HasPrefix(s.src[s.pos:], "\n"):
		s.pos++
	}
	s.lineStarting = s.pos > start && s.src[s.pos-1] == '\n'
}

// tag reads a tag's tokens up to its end, }} or %}, which counts outside of brackets only.
func (s *scanner) tag(kind byte) ([]token, error) {
	end := "}}"
	if kind == '%' {
		end = "%}"
	}
	var tokens []token
	var open []byte
	for start := s.pos; s.pos < len(s.src); {
		if s.pos-start > maxTag || len(tokens) > maxTokens {
			return nil, fmt.Errorf("tag longer than %d bytes or %d words and signs", maxTag, maxTokens)
		}
		rest := s.src[s.pos:]
		if len(open) == 0 {
			sign := byte(0)
			if rest[0] == '-' || rest[0] == '+' && kind == '%' {
				sign = rest[0]
				rest = rest[1:]
			}
			if strings.HasPrefix(rest, end) {
				s.pos = len(s.src) - len(rest) + len(end)
				s.afterTag(sign, kind == '%')
				return tokens, nil
			}
			rest = s.src[s.pos:]
		}
		if c := rest[0]; c == ' ' || c == '\n' || c == '\t' {
			s.pos++
			continue
		}
		t, n, err := nextToken(rest, len(tokens) > 0 && tokens[len(tokens)-1].is("."))
		if err != nil {
			return nil, err
		}
		if t.kind == operatorToken {
			switch c := t.text[0]; c {
			case '(', '[', '{':
				if open = append(open, c); len(open) > maxNesting {
					return nil, fmt.Errorf("brackets nested deeper than %d", maxNesting)
				}
			case ')', ']', '}':
				if len(open) == 0 || open[len(open)-1] != opening[c] {
					return nil, fmt.Errorf("unexpected %q", c)
				}
				open = open[:len(open)-1]
			}
		}
		tokens = append(tokens, t)
		s.pos += n
	}
	return nil, fmt.Errorf("tag is not closed by %s", end)
}
