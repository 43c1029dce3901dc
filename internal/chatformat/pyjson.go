package chatformat

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A JSON value is held as nil, bool, string, int64, *big.Int, float64, *list or *object: what Python's json.loads makes of it.

// object is a JSON object (and a template's dict) in the order in which its keys first appeared.
type object struct {
	keys   []string
	values map[string]any
}

func newObject() *object { return &object{values: map[string]any{}} }

func (o *object) set(key string, v any) {
	if _, found := o.values[key]; !found {
		o.keys = append(o.keys, key)
	}
	o.values[key] = v
}

func (o *object) lookup(key string) (any, bool) { v, found := o.values[key]; return v, found }

// get returns undefined for a key that is not there.
func (o *object) get(key string) any {
	if v, found := o.values[key]; found {
		return v
	}
	return undefined{key}
}

// list is a JSON array (and a template's list or tuple).
type list struct{ items []any }

// maxJSONDepth is about where Python's json gives up.
const maxJSONDepth = 900

func parseJSON(data []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	v, err := decodeValue(d, 0)
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("bad JSON: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("bad JSON: more text behind the value")
	}
	return v, nil
}

func decodeValue(d *json.Decoder, depth int) (any, error) {
	if depth > maxJSONDepth {
		return nil, fmt.Errorf("nested deeper than %d", maxJSONDepth)
	}
	tok, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := tok.(type) {
	case json.Number:
		return pyNumber(string(t)), nil
	case json.Delim:
		if t == '[' {
			l := &list{}
			for d.More() {
				v, err := decodeValue(d, depth+1)
				if err != nil {
					return nil, err
				}
				l.items = append(l.items, v)
			}
			_, err = d.Token()
			return l, err
		}
		o := newObject()
		for d.More() {
			key, err := d.Token()
			if err != nil {
				return nil, err
			}
			v, err := decodeValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			o.set(key.(string), v)
		}
		_, err = d.Token()
		return o, err
	}
	return tok, nil // nil, bool, string
}

func pyNumber(s string) any {
	if strings.ContainsAny(s, ".eE") {
		f, _ := strconv.ParseFloat(s, 64) // out of range gives ±Inf, as in Python
		return f
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n
	}
	n, _ := new(big.Int).SetString(s, 10)
	return n
}

// dumpStyle holds the arguments of Python's json.dumps that templates use.
type dumpStyle struct {
	indent      int // 0: all on one line
	ensureASCII bool
}

// dumps writes a JSON value as Python's json.dumps does.
func dumps(v any, style dumpStyle) string {
	var b strings.Builder
	dump(&b, v, style, 0)
	return b.String()
}

func dump(b *strings.Builder, v any, style dumpStyle, depth int) {
	newline := func(depth int) {
		if style.indent > 0 {
			b.WriteByte('\n')
			b.WriteString(strings.Repeat(" ", style.indent*depth))
		}
	}
	separator := func(i int) {
		switch {
		case i == 0:
		case style.indent > 0:
			b.WriteByte(',')
		default:
			b.WriteString(", ")
		}
		newline(depth + 1)
	}
	switch v := v.(type) {
	case nil:
		b.WriteString("null")
	case bool:
		b.WriteString(strconv.FormatBool(v))
	case string:
		dumpString(b, v, style.ensureASCII)
	case int64:
		b.WriteString(strconv.FormatInt(v, 10))
	case *big.Int:
		b.WriteString(v.String())
	case float64:
		b.WriteString(floatRepr(v))
	case *list:
		if len(v.items) == 0 {
			b.WriteString("[]")
			return
		}
		b.WriteByte('[')
		for i, item := range v.items {
			separator(i)
			dump(b, item, style, depth+1)
		}
		newline(depth)
		b.WriteByte(']')
	case *object:
		if len(v.keys) == 0 {
			b.WriteString("{}")
			return
		}
		b.WriteByte('{')
		for i, key := range v.keys {
			separator(i)
			dumpString(b, key, style.ensureASCII)
			b.WriteString(": ")
			dump(b, v.values[key], style, depth+1)
		}
		newline(depth)
		b.WriteByte('}')
	}
}

// floatRepr is Python's repr of a float, with JSON's names for what is no number.
func floatRepr(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	case math.IsNaN(f):
		return "NaN"
	}
	s := strconv.FormatFloat(f, 'e', -1, 64)
	exp, _ := strconv.Atoi(s[strings.IndexByte(s, 'e')+1:])
	if exp < -4 || exp >= 16 {
		return s
	}
	s = strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

func dumpString(b *strings.Builder, s string, ensureASCII bool) {
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\b':
			b.WriteString(`\b`)
		case r == '\f':
			b.WriteString(`\f`)
		case r < 0x20:
			fmt.Fprintf(b, `\u%04x`, r)
		case !ensureASCII || r < 0x7f || isMarker(r):
			b.WriteRune(r)
		case r > 0xffff:
			r -= 0x10000
			fmt.Fprintf(b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			fmt.Fprintf(b, `\u%04x`, r)
		}
	}
	b.WriteByte('"')
}

// pyStrip is Python's str.strip() without arguments.
func pyStrip(s string) string { return strings.TrimFunc(s, pySpace) }

// pySpace is Python's str.isspace for one character.
func pySpace(r rune) bool {
	switch {
	case r == utf8.RuneError:
		return false
	case r >= 0x09 && r <= 0x0d, r >= 0x1c && r <= 0x20, r == 0x85, r == 0xa0, r == 0x1680, r >= 0x2000 && r <= 0x200a,
		r == 0x2028, r == 0x2029, r == 0x202f, r == 0x205f, r == 0x3000:
		return true
	}
	return false
}
