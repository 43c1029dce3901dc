package jinja

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxDigits is the length up to which a number is read. Python gives up at 4,300 digits.
const maxDigits = 1000

// ParseJSON makes of JSON what Python's json.loads makes of it: nil, bool, int64, *big.Int, float64, *List, *Dict and
// Texts, all of whose characters are data.
func ParseJSON(data []byte) (Value, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	v, err := decode(d, 0)
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

func decode(d *json.Decoder, depth int) (Value, error) {
	if depth > maxDataDepth {
		return nil, fmt.Errorf("nested deeper than %d", maxDataDepth)
	}
	tok, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := tok.(type) {
	case string:
		return Data(t), nil
	case json.Number:
		return pyNumber(string(t))
	case json.Delim:
		if t == '[' {
			l := &List{}
			for d.More() {
				v, err := decode(d, depth+1)
				if err != nil {
					return nil, err
				}
				l.Items = append(l.Items, v)
			}
			_, err = d.Token()
			return l, err
		}
		o := NewDict()
		for d.More() {
			key, err := d.Token()
			if err != nil {
				return nil, err
			}
			v, err := decode(d, depth+1)
			if err != nil {
				return nil, err
			}
			o.Set(Data(key.(string)), v)
		}
		_, err = d.Token()
		return o, err
	}
	return tok, nil // nil, bool
}

func pyNumber(s string) (Value, error) {
	if len(s) > maxDigits {
		return nil, fmt.Errorf("a number of %d characters, beginning with %.20s: at most %d are read", len(s), s, maxDigits)
	}
	if strings.ContainsAny(s, ".eE") {
		f, _ := strconv.ParseFloat(s, 64) // out of range gives ±Inf, as in Python
		return f, nil
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, nil
	}
	n, _ := new(big.Int).SetString(s, 10)
	return n, nil
}

// Dump writes a value of ParseJSON's as Python's json.dumps does with ensure_ascii=False. An indent below 0 keeps all
// on one line.
func Dump(v Value, indent int) string {
	d := &dumper{itemSeparator: Data(", "), keySeparator: Data(": "), indent: indent}
	if indent >= 0 {
		d.itemSeparator = Data(",")
	}
	if err := d.dump(v, 0); err != nil {
		panic("jinja: Dump: " + err.Error()) // no such value comes from ParseJSON
	}
	return d.b.text().s
}

// dumper holds the arguments of Python's json.dumps that templates use.
type dumper struct {
	b             textBuilder
	budget        *budget // nil for none
	itemSeparator Text
	keySeparator  Text
	indent        int // below 0 for none
	ensureASCII   bool
	sortKeys      bool
}

// toJSON is transformers' filter. What it writes itself is data: brackets, separators and escapes.
func (e *evaluator) toJSON(v Value, a *arguments) (Value, error) {
	d := &dumper{budget: &e.budget, itemSeparator: Data(", "), keySeparator: Data(": "), indent: -1}
	if v, given := a.next("ensure_ascii"); given {
		d.ensureASCII = truthy(v)
	}
	if indent, given := a.next("indent"); given && indent != nil {
		n, ok := indent.(int64)
		if !ok {
			return nil, fmt.Errorf("an indent that is %s is not supported", kindOf(indent))
		}
		d.indent = int(max(0, min(n, maxBytes)))
		d.itemSeparator = Data(",")
	}
	if separators, given := a.next("separators"); given && separators != nil {
		l, ok := separators.(*List)
		if !ok || len(l.Items) != 2 {
			return nil, errors.New("separators that are no pair are not supported")
		}
		item, ok1 := l.Items[0].(Text)
		key, ok2 := l.Items[1].(Text)
		if !ok1 || !ok2 {
			return nil, errors.New("separators that are no strings are not supported")
		}
		d.itemSeparator, d.keySeparator = item, key
	}
	if v, given := a.next("sort_keys"); given {
		d.sortKeys = truthy(v)
	}
	if err := d.dump(v, 0); err != nil {
		return nil, err
	}
	return d.b.text(), nil
}

// pay pays for writing n bytes.
func (d *dumper) pay(n int) error {
	if d.budget == nil {
		return nil
	}
	return d.budget.pay(1+n/16, n)
}

func (d *dumper) write(t Text) error {
	if err := d.pay(t.size() + 8); err != nil {
		return err
	}
	d.b.add(t)
	return nil
}

func (d *dumper) newline(depth int) error {
	if d.indent < 0 {
		return nil
	}
	if err := d.pay(1 + d.indent*depth); err != nil {
		return err
	}
	d.b.addData("\n")
	d.b.addData(strings.Repeat(" ", d.indent*depth))
	return nil
}

// separate begins the i-th item of a list or dict.
func (d *dumper) separate(i, depth int) error {
	if i > 0 {
		if err := d.write(d.itemSeparator); err != nil {
			return err
		}
	}
	return d.newline(depth)
}

func (d *dumper) dump(v Value, depth int) error {
	if depth > maxDataDepth {
		return errDepth
	}
	switch v := v.(type) {
	case nil:
		return d.write(Data("null"))
	case bool:
		return d.write(Data(strconv.FormatBool(v)))
	case Text:
		return d.string(v)
	case int64:
		return d.write(Data(strconv.FormatInt(v, 10)))
	case *big.Int:
		return d.write(Data(v.String()))
	case float64:
		return d.write(Data(floatRepr(v, "Infinity", "NaN")))
	case *List:
		return d.list(v, depth)
	case *Dict:
		return d.dict(v, depth)
	}
	return fmt.Errorf("%s is not JSON", kindOf(v))
}

func (d *dumper) list(v *List, depth int) error {
	if len(v.Items) == 0 {
		return d.write(Data("[]"))
	}
	if err := d.write(Data("[")); err != nil {
		return err
	}
	for i, item := range v.Items {
		if err := d.separate(i, depth+1); err != nil {
			return err
		}
		if err := d.dump(item, depth+1); err != nil {
			return err
		}
	}
	if err := d.newline(depth); err != nil {
		return err
	}
	return d.write(Data("]"))
}

func (d *dumper) dict(v *Dict, depth int) error {
	n := len(v.keys)
	if n == 0 {
		return d.write(Data("{}"))
	}
	if err := d.write(Data("{")); err != nil {
		return err
	}
	places := make([]int, n)
	for i := range places {
		places[i] = i
	}
	if d.sortKeys {
		// About 17 comparisons a key, of what keys have in common.
		size := 0
		for _, key := range v.keys {
			size += len(key.s)
		}
		if err := d.budget.pay(n+size, 0); err != nil {
			return err
		}
		slices.SortFunc(places, func(a, b int) int { return strings.Compare(v.keys[a].s, v.keys[b].s) })
	}
	for i, place := range places {
		if err := d.separate(i, depth+1); err != nil {
			return err
		}
		if err := d.string(v.keys[place]); err != nil {
			return err
		}
		if err := d.write(d.keySeparator); err != nil {
			return err
		}
		if err := d.dump(v.values[place], depth+1); err != nil {
			return err
		}
	}
	if err := d.newline(depth); err != nil {
		return err
	}
	return d.write(Data("}"))
}

func (d *dumper) string(t Text) error {
	if err := d.pay(t.size() + t.size()/2); err != nil {
		return err
	}
	d.b.addData(`"`)
	from := 0 // what has not been written yet
	for at, r := range t.s {
		escape := d.escape(r)
		if escape == "" {
			continue
		}
		if err := d.pay(len(escape) + 16); err != nil {
			return err
		}
		d.b.add(t.slice(from, at))
		d.b.addData(escape)
		_, n := utf8.DecodeRuneInString(t.s[at:])
		from = at + n
	}
	d.b.add(t.slice(from, len(t.s)))
	d.b.addData(`"`)
	return nil
}

// escape is how a character is written, "" for as it is.
func (d *dumper) escape(r rune) string {
	switch {
	case r == '"' || r == '\\':
		return `\` + string(r)
	case r == '\n':
		return `\n`
	case r == '\r':
		return `\r`
	case r == '\t':
		return `\t`
	case r == '\b':
		return `\b`
	case r == '\f':
		return `\f`
	case r < 0x20:
		return fmt.Sprintf(`\u%04x`, r)
	case !d.ensureASCII || r < 0x7f:
		return ""
	case r > 0xffff:
		r -= 0x10000
		return fmt.Sprintf(`\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
	}
	return fmt.Sprintf(`\u%04x`, r)
}
