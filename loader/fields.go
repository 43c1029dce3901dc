package loader

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// fields reads typed values out of one JSON object and keeps the first error.
type fields struct {
	file   string
	prefix string // path of a nested object, with its dot
	values map[string]json.RawMessage
	err    error
}

func parseFields(file string, data []byte) (*fields, error) {
	f := &fields{file: file}
	if isHTML(data) {
		return nil, fmt.Errorf("%s: %s", file, htmlPage)
	}
	if err := json.Unmarshal(data, &f.values); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return nil, fmt.Errorf("%s: not valid JSON at byte %d: %w", file, syntax.Offset, err)
		}
		return nil, fmt.Errorf("%s: not a JSON object", file)
	}
	if f.values == nil {
		return nil, fmt.Errorf("%s: not a JSON object", file)
	}
	return f, nil
}

// has reports whether a field is there and not null.
func (f *fields) has(name string) bool {
	v, ok := f.values[name]
	return ok && string(v) != "null"
}

func (f *fields) fail(name, want string) {
	if f.err != nil {
		return
	}
	if f.has(name) {
		f.err = fmt.Errorf("%s: %s%s is %s; it must be %s", f.file, f.prefix, name, printable(clip(oneLine(f.values[name]))),
			want)
	} else {
		f.err = fmt.Errorf("%s: %s%s is missing; it must be %s", f.file, f.prefix, name, want)
	}
}

// adopt takes over the error of a nested object.
func (f *fields) adopt(nested *fields) {
	if f.err == nil {
		f.err = nested.err
	}
}

func (f *fields) text(name string) string {
	var s string
	if json.Unmarshal(f.values[name], &s) != nil || !f.has(name) {
		f.fail(name, "a string")
	}
	return s
}

func (f *fields) flag(name string, absent bool) bool {
	if !f.has(name) {
		return absent
	}
	var b bool
	if json.Unmarshal(f.values[name], &b) != nil {
		f.fail(name, "true or false")
	}
	return b
}

// positive reads a whole number in [1, limit].
func (f *fields) positive(name string, limit int) int {
	var n int
	switch err := json.Unmarshal(f.values[name], &n); {
	case err != nil || !f.has(name) || n <= 0:
		f.fail(name, "a positive number")
	case n > limit:
		f.fail(name, fmt.Sprintf("at most %d", limit))
	default:
		return n
	}
	return 1
}

// number reads a number in (above, limit].
func (f *fields) number(name string, above, limit float64) float64 {
	var n float64
	if json.Unmarshal(f.values[name], &n) != nil || !f.has(name) || !(n > above && n <= limit) {
		f.fail(name, fmt.Sprintf("a number above %g and at most %g", above, limit))
		return 1
	}
	return n
}

// either reads a number that may stand in f or in nested; both must agree.
func (f *fields) either(nested *fields, name string, absent, limit float64) float64 {
	flat := f.has(name)
	if nested == nil || !nested.has(name) {
		if !flat {
			return absent
		}
		return f.number(name, 0, limit)
	}
	n := nested.number(name, 0, limit)
	f.adopt(nested)
	if flat && f.number(name, 0, limit) != n {
		f.fail(name, fmt.Sprintf("the same as %s%s, %g", nested.prefix, name, n))
	}
	return n
}

// ids reads one token id or a list of them, all in [0, vocab).
func (f *fields) ids(name string, vocab int) []int32 {
	if !f.has(name) {
		return nil
	}
	var one int32
	ids := []int32{}
	if json.Unmarshal(f.values[name], &one) == nil {
		ids = append(ids, one)
	} else if json.Unmarshal(f.values[name], &ids) != nil || bytes.Contains(f.values[name], []byte("null")) {
		f.fail(name, "a token id or a list of them")
		return nil
	}
	for _, id := range ids {
		if id < 0 || int(id) >= vocab {
			f.fail(name, fmt.Sprintf("made of token ids from 0 to %d", vocab-1))
			return nil
		}
	}
	return ids
}

// object reads a nested object, nil if there is none.
func (f *fields) object(name string) *fields {
	if !f.has(name) {
		return nil
	}
	nested := &fields{file: f.file, prefix: f.prefix + name + "."}
	if json.Unmarshal(f.values[name], &nested.values) != nil {
		f.fail(name, "an object")
		return nil
	}
	return nested
}

// mustBe refuses a string field that is there with another value than want.
func (f *fields) mustBe(name, want, explain string) {
	if f.has(name) && f.text(name) != want {
		f.fail(name, explain)
	}
}

// divides reports whether small divides big, and fails if not.
func (f *fields) divides(small string, s int, big string, b int) bool {
	if f.err == nil && b%s != 0 {
		f.fail(big, fmt.Sprintf("a multiple of %s, %d", small, s))
	}
	return f.err == nil
}

// agrees refuses a second name of a field with another value.
func (f *fields) agrees(name string, n int, first string) {
	if f.has(name) && f.positive(name, maxWidth) != n {
		f.fail(name, fmt.Sprintf("the same as %s, %d", first, n))
	}
}

// oneLine writes a value that may be spread over several lines on one.
func oneLine(raw json.RawMessage) string {
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return string(raw)
	}
	return b.String()
}

// clip shortens a value that an error quotes.
func clip(s string) string {
	if len(s) <= 80 {
		return s
	}
	return strings.ToValidUTF8(s[:80], "") + "…"
}

// printable is a name or value as it is, or quoted where it holds what could drive a terminal or break the line.
func printable(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsGraphic(r) }) {
		return strconv.QuoteToGraphic(s)
	}
	return s
}

// quote makes a name from a file fit for one line of an error.
func quote(s string) string { return strconv.Quote(clip(s)) }
