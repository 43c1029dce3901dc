package tokenizer

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonReader reads JSON without building values. A tokenizer.json holds about 300,000 strings, for which
// encoding/json takes a second.
type jsonReader struct {
	ctx  context.Context
	data []byte
	pos  int
	at   int // place of data in the file, for errors
	look int // where the context is looked at again
}

// jsonValue is the text of a value and its place in the file. The text is empty where there is no value.
type jsonValue struct {
	text []byte
	at   int
}

func (v jsonValue) reader(ctx context.Context) *jsonReader {
	return &jsonReader{ctx: ctx, data: v.text, at: v.at}
}

// isNull tells whether a value is absent or null.
func (v jsonValue) isNull() bool { return len(v.text) == 0 || string(v.text) == "null" }

// String is the value as an error shows it.
func (v jsonValue) String() string {
	if len(v.text) == 0 {
		return "missing"
	}
	text := v.text[:min(len(v.text), maxSmallValue)]
	var compact bytes.Buffer
	if json.Compact(&compact, text) == nil {
		text = compact.Bytes()
	}
	shown := strings.Join(strings.Fields(string(text[:min(len(text), 400)])), " ")
	if len(text) > 400 {
		return strings.ToValidUTF8(shown, "") + "..."
	}
	return shown
}

// maxSmallValue bounds the bytes of values that encoding/json reads, of which no real one has a tenth.
const maxSmallValue = 1 << 16

// unmarshal stores a small value.
func (v jsonValue) unmarshal(to any) error {
	if len(v.text) > maxSmallValue {
		return fmt.Errorf("%d bytes long; at most %d are supported", len(v.text), maxSmallValue)
	}
	if err := json.Unmarshal(v.text, to); err != nil {
		return fmt.Errorf("%.200s", err.Error()) // it may quote the whole value
	}
	return nil
}

// maxFields bounds the fields of an object that is kept in memory. Real ones have ten.
const maxFields = 1000

// fields returns the fields of a value that must be an object.
func (v jsonValue) fields(ctx context.Context) (map[string]jsonValue, error) {
	r := v.reader(ctx)
	fields := map[string]jsonValue{}
	err := r.object(func(key []byte) error {
		name := string(key)
		if _, ok := fields[name]; ok {
			return fmt.Errorf("field %.80q is there twice", name)
		}
		if len(fields) == maxFields {
			return fmt.Errorf("more than %d fields; no tokenizer has as many", maxFields)
		}
		value, err := r.skip()
		fields[name] = value
		return err
	})
	if err == nil {
		err = r.end()
	}
	return fields, err
}

func (r *jsonReader) errorf(format string, args ...any) error {
	return fmt.Errorf("not valid JSON at byte %d: "+format, append([]any{r.at + r.pos}, args...)...)
}

// peek returns the next byte that is no white space, 0 at the end.
func (r *jsonReader) peek() byte {
	for r.pos < len(r.data) {
		switch c := r.data[r.pos]; c {
		case ' ', '\t', '\r', '\n':
			r.pos++
		default:
			return c
		}
	}
	return 0
}

func (r *jsonReader) expect(c byte) error {
	if r.peek() != c {
		return r.errorf("expected %q, found %s", c, r.found())
	}
	r.pos++
	return nil
}

func (r *jsonReader) found() string {
	if r.pos >= len(r.data) {
		return "the end of the file"
	}
	end := min(r.pos+20, len(r.data))
	return strconv.Quote(string(r.data[r.pos:end]))
}

// end makes sure that nothing follows.
func (r *jsonReader) end() error {
	if r.peek(); r.pos < len(r.data) {
		return r.errorf("expected the end of the file, found %s", r.found())
	}
	return nil
}

// kind names the type of the next value.
func (r *jsonReader) kind() string {
	switch c := r.peek(); {
	case c == '{':
		return "an object"
	case c == '[':
		return "an array"
	case c == '"':
		return "a string"
	case c == 't' || c == 'f':
		return "a boolean"
	case c == 'n':
		return "null"
	case c == '-' || c >= '0' && c <= '9':
		return "a number"
	}
	return r.found()
}

// lookAround returns the context's error. It looks at the context about every millisecond.
func (r *jsonReader) lookAround() error {
	if r.pos < r.look {
		return nil
	}
	r.look = r.pos + 1<<18
	return r.ctx.Err()
}

// object calls field for each key of an object; field must read the value. The key is valid until then.
func (r *jsonReader) object(field func(key []byte) error) error {
	if r.peek() != '{' {
		return fmt.Errorf("expected an object, found %s at byte %d", r.kind(), r.at+r.pos)
	}
	r.pos++
	if r.peek() == '}' {
		r.pos++
		return nil
	}
	var unescaped []byte
	for {
		if err := r.lookAround(); err != nil {
			return err
		}
		key, err := r.string(&unescaped)
		if err != nil {
			return err
		}
		if err := r.expect(':'); err != nil {
			return err
		}
		if err := field(key); err != nil {
			return err
		}
		if r.peek() == '}' {
			r.pos++
			return nil
		}
		if err := r.expect(','); err != nil {
			return err
		}
	}
}

// array calls element for each element of an array; element must read it.
func (r *jsonReader) array(element func(i int) error) error {
	if r.peek() != '[' {
		return fmt.Errorf("expected an array, found %s at byte %d", r.kind(), r.at+r.pos)
	}
	r.pos++
	if r.peek() == ']' {
		r.pos++
		return nil
	}
	for i := 0; ; i++ {
		if err := r.lookAround(); err != nil {
			return err
		}
		if err := element(i); err != nil {
			return err
		}
		if r.peek() == ']' {
			r.pos++
			return nil
		}
		if err := r.expect(','); err != nil {
			return err
		}
	}
}

// int reads an integer of at least 0.
func (r *jsonReader) int() (int, error) {
	r.peek()
	end := r.pos
	for end < len(r.data) &&
		(r.data[end] == '-' || r.data[end] == '+' || r.data[end] == '.' || r.data[end]|0x20 == 'e' || r.data[end] >= '0' &&
			r.data[end] <= '9') {
		end++
	}
	text := r.data[r.pos:end]
	if len(text) == 0 {
		return 0, fmt.Errorf("expected an integer, found %s at byte %d", r.kind(), r.at+r.pos)
	}
	n := 0
	for i, c := range text {
		if c < '0' || c > '9' || len(text) > 10 || i == 0 && c == '0' && len(text) > 1 {
			return 0, fmt.Errorf("expected an integer of at least 0, found %.20s at byte %d", text, r.at+r.pos)
		}
		n = n*10 + int(c-'0')
	}
	r.pos = end
	return n, nil
}

// bool reads true or false.
func (r *jsonReader) bool() (bool, error) {
	r.peek()
	for _, literal := range []string{"true", "false"} {
		if bytes.HasPrefix(r.data[r.pos:], []byte(literal)) {
			r.pos += len(literal)
			return literal == "true", nil
		}
	}
	return false, fmt.Errorf("expected true or false, found %s at byte %d", r.kind(), r.at+r.pos)
}

// string reads a string. Where it has escapes, it is written to *unescaped, else it is part of the data.
func (r *jsonReader) string(unescaped *[]byte) ([]byte, error) {
	if r.peek() != '"' {
		return nil, fmt.Errorf("expected a string, found %s at byte %d", r.kind(), r.at+r.pos)
	}
	start := r.pos + 1
	for i := start; i < len(r.data); i++ {
		switch c := r.data[i]; {
		case c == '"':
			r.pos = i + 1
			return r.data[start:i], nil
		case c == '\\':
			return r.escaped(unescaped, start, i)
		case c < ' ':
			r.pos = i
			return nil, r.errorf("control character %q in a string", c)
		}
	}
	return nil, r.errorf("string without an end")
}

// escaped reads a string that starts at start and has its first backslash at i.
func (r *jsonReader) escaped(unescaped *[]byte, start, i int) ([]byte, error) {
	text := append((*unescaped)[:0], r.data[start:i]...)
	r.pos = i
	for r.pos < len(r.data) {
		if err := r.lookAround(); err != nil {
			return nil, err
		}
		c := r.data[r.pos]
		switch {
		case c == '"':
			r.pos++
			*unescaped = text
			return text, nil
		case c < ' ':
			return nil, r.errorf("control character %q in a string", c)
		case c != '\\':
			text = append(text, c)
			r.pos++
			continue
		case r.pos+1 == len(r.data):
			return nil, r.errorf("string without an end")
		}
		c = r.data[r.pos+1]
		if c == 'u' {
			char, err := r.unicodeEscape()
			if err != nil {
				return nil, err
			}
			text = utf8.AppendRune(text, char)
			continue
		}
		const names, chars = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
		n := bytes.IndexByte([]byte(names), c)
		if n < 0 {
			return nil, r.errorf("unknown escape %s", r.found())
		}
		text = append(text, chars[n])
		r.pos += 2
	}
	return nil, r.errorf("string without an end")
}

// unicodeEscape reads \uXXXX, or two of them that are a surrogate pair.
func (r *jsonReader) unicodeEscape() (rune, error) {
	hex := func() (rune, bool) {
		if r.pos+6 > len(r.data) || r.data[r.pos] != '\\' || r.data[r.pos+1] != 'u' {
			return 0, false
		}
		n, err := strconv.ParseUint(string(r.data[r.pos+2:r.pos+6]), 16, 16)
		return rune(n), err == nil
	}
	char, ok := hex()
	if !ok {
		return 0, r.errorf("unknown escape %s", r.found())
	}
	if !utf16.IsSurrogate(char) {
		r.pos += 6
		return char, nil
	}
	r.pos += 6
	low, ok := hex()
	if pair := utf16.DecodeRune(char, low); ok && pair != utf8.RuneError {
		r.pos += 6
		return pair, nil
	}
	r.pos -= 6
	return 0, r.errorf("half of a surrogate pair, %s", r.found())
}

// skip passes over a value and returns it. It checks the nesting only: what is read from the text later is
// checked then.
func (r *jsonReader) skip() (jsonValue, error) {
	r.peek()
	start := r.pos
	var open []byte
	for {
		if err := r.lookAround(); err != nil {
			return jsonValue{}, err
		}
		c := r.peek()
		switch c {
		case '{', '[':
			open = append(open, c+2) // the closing bracket is two further in ASCII
			r.pos++
			continue
		case '}', ']':
			if len(open) == 0 || open[len(open)-1] != c {
				return jsonValue{}, r.errorf("unexpected %s", r.found())
			}
			open = open[:len(open)-1]
			r.pos++
		case ',', ':':
			if len(open) == 0 {
				return jsonValue{}, r.errorf("expected a value, found %s", r.found())
			}
			r.pos++
			continue
		case '"':
			if err := r.skipString(); err != nil {
				return jsonValue{}, err
			}
		case 0:
			return jsonValue{}, r.errorf("expected a value, found %s", r.found())
		default:
			literal := r.pos
			for r.pos < len(r.data) && isLiteral(r.data[r.pos]) {
				r.pos++
			}
			if r.pos == literal {
				return jsonValue{}, r.errorf("expected a value, found %s", r.found())
			}
		}
		if len(open) == 0 {
			return jsonValue{r.data[start:r.pos], r.at + start}, nil
		}
	}
}

func (r *jsonReader) skipString() error {
	for i := r.pos + 1; i < len(r.data); i++ {
		switch r.data[i] {
		case '"':
			r.pos = i + 1
			return nil
		case '\\':
			i++
		}
	}
	return r.errorf("string without an end")
}

// isLiteral tells the characters of numbers, true, false and null.
func isLiteral(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || c == '-' || c == '+' || c == '.'
}
