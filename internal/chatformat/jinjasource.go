package chatformat

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	maxTemplate = 1 << 20   // bytes; published ones are below 20 KB
	maxTag      = 64 * 1024 // bytes between {{ and }}
	maxNesting  = 64        // of blocks and of brackets
)

// canonicalSource rewrites a Jinja template so that gonja's lexer has nothing to decide: comments are gone, white space control is done as
// transformers sets it (trim_blocks, lstrip_blocks), text between tags is printed by tags of its own, and strings hold no delimiters and no Python escapes.
func canonicalSource(template string) (string, error) {
	if len(template) > maxTemplate {
		return "", fmt.Errorf("%d bytes long: at most %d are read", len(template), maxTemplate)
	}
	if !utf8.ValidString(template) {
		return "", errors.New("not valid UTF-8")
	}
	src := strings.ReplaceAll(strings.ReplaceAll(template, "\r\n", "\n"), "\r", "\n")
	src = strings.TrimSuffix(src, "\n")
	s := &sourceScanner{src: src, lineStarting: true}
	for s.pos < len(s.src) {
		if err := s.next(); err != nil {
			return "", fmt.Errorf("line %d: %w", 1+strings.Count(s.src[:min(s.pos, len(s.src))], "\n"), err)
		}
	}
	return s.out.String(), nil
}

// sourceScanner follows jinja2's lexer.
type sourceScanner struct {
	src          string
	pos          int
	lineStarting bool // the tag before the current text took a line's end with it
	depth        int  // open blocks
	out          strings.Builder
}

// next reads text and the tag that ends it.
func (s *sourceScanner) next() error {
	rest := s.src[s.pos:]
	at := -1
	for i := 0; i+1 < len(rest); i++ {
		if rest[i] == '{' && strings.IndexByte("{%#", rest[i+1]) >= 0 {
			at = i
			break
		}
	}
	if at < 0 {
		s.text(rest)
		s.pos = len(s.src)
		return nil
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
		text = strings.TrimRightFunc(text, pySpace)
	case sign == 0 && kind != '{':
		line := strings.LastIndexByte(text, '\n') + 1
		if (line > 0 || s.lineStarting) && strings.TrimFunc(text[line:], pySpace) == "" {
			text = text[:line]
		}
	}
	s.text(text)
	switch kind {
	case '#':
		return s.comment()
	case '{':
		body, err := s.tag("}}")
		if err != nil {
			return err
		}
		s.out.WriteString("{{ " + body + " }}")
	default:
		body, err := s.tag("%}")
		if err != nil {
			return err
		}
		name, _, _ := strings.Cut(strings.TrimSpace(body), " ")
		if name == "raw" {
			return errors.New(`the tag "raw" is not supported`)
		}
		if strings.HasPrefix(name, "end") {
			s.depth--
		} else if name == "for" || name == "if" {
			s.depth++
		}
		if s.depth > maxNesting {
			return fmt.Errorf("blocks nested deeper than %d", maxNesting)
		}
		s.out.WriteString("{% " + strings.TrimSpace(body) + " %}")
	}
	return nil
}

func (s *sourceScanner) text(text string) {
	if text != "" {
		s.out.WriteString("{{ " + quoted(text) + " }}")
	}
}

func (s *sourceScanner) comment() error {
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
func (s *sourceScanner) afterTag(sign byte, trim bool) {
	start := s.pos
	switch {
	case sign == '-':
		s.pos = len(s.src) - len(strings.TrimLeftFunc(s.src[s.pos:], pySpace))
	case sign != '+' && trim && strings.HasPrefix(s.src[s.pos:], "\n"):
		s.pos++
	}
	s.lineStarting = s.pos > start && s.src[s.pos-1] == '\n'
}

// tag reads a tag's inside up to its end, }} or %}, and returns it in canonical form.
func (s *sourceScanner) tag(end string) (string, error) {
	var b strings.Builder
	var open []byte
	start := s.pos
	for s.pos < len(s.src) {
		if s.pos-start > maxTag {
			return "", fmt.Errorf("tag longer than %d bytes", maxTag)
		}
		rest := s.src[s.pos:]
		if len(open) == 0 {
			if strings.HasPrefix(rest, end) {
				s.pos += 2
				s.afterTag(0, end == "%}")
				return b.String(), nil
			}
			if (rest[0] == '-' || rest[0] == '+' && end == "%}") && strings.HasPrefix(rest[1:], end) {
				s.pos += 3
				s.afterTag(rest[0], end == "%}")
				return b.String(), nil
			}
		}
		c := rest[0]
		switch {
		case c == '\'' || c == '"':
			text, n, err := unquote(rest)
			if err != nil {
				return "", err
			}
			b.WriteString(quoted(text))
			s.pos += n
			continue
		case c == '(' || c == '[' || c == '{':
			if open = append(open, c); len(open) > maxNesting {
				return "", fmt.Errorf("brackets nested deeper than %d", maxNesting)
			}
		case c == ')' || c == ']' || c == '}':
			if len(open) == 0 || open[len(open)-1] != map[byte]byte{')': '(', ']': '[', '}': '{'}[c] {
				return "", fmt.Errorf("unexpected %q", c)
			}
			open = open[:len(open)-1]
		case c == '\n' || c == '\t':
			c = ' '
		case c < 0x20 || c >= 0x7f || strings.IndexByte("\\`#$?@;&^!", c) >= 0 && !strings.HasPrefix(rest, "!="):
			r, _ := utf8.DecodeRuneInString(rest)
			return "", fmt.Errorf("unexpected %q", r)
		}
		if c == '{' || c == '}' {
			b.WriteByte(' ')
			b.WriteByte(c)
			c = ' '
		}
		b.WriteByte(c)
		s.pos++
	}
	return "", fmt.Errorf("tag is not closed by %s", end)
}

// quoted writes a string for gonja: nothing in it can be taken for a delimiter or an escape of gonja's own.
func quoted(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			b.WriteRune(r)
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
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
		if plain, found := map[byte]string{'n': "\n", 't': "\t", 'r': "\r", 'a': "\a", 'b': "\b", 'f': "\f", 'v': "\v", '\\': "\\", '\'': "'", '"': "\"", '\n': ""}[c]; found {
			b.WriteString(plain)
			continue
		}
		digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]
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
