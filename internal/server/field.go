package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// field is a value in the JSON body of a request, and the path to it. The body keeps the first mistake that is found in
// any of its fields; what is read of a wrong one is zero, so that a decoder reads on and looks for mistakes once, at the
// end.
type field struct {
	body *body
	path string          // such as messages[2].content, "" for the body
	raw  json.RawMessage // nil: absent or null
}

// body is what the fields of one request share.
type body struct{ err error }

// parseBody gives the body's object. Field names are told apart by case, as the clients' own servers do.
func parseBody(data []byte) (object, *body) {
	b := &body{}
	if !json.Valid(data) {
		var v any
		b.err = badRequest("", "the body is no valid JSON: %v", json.Unmarshal(data, &v))
		return object{}, b
	}
	f := field{b, "", data}
	if !f.is('{') {
		b.err = badRequest("", "the body must be a JSON object, not %s", f.kind())
	}
	return f.object(), b
}

// is tells whether a value begins with a character that tells its type: { [ " t f, and 0 for a number.
func (f field) is(first byte) bool {
	if len(f.raw) == 0 {
		return false
	}
	c := bytes.TrimLeft(f.raw, " \t\r\n")[0]
	return c == first || first == '0' && (c == '-' || c >= '0' && c <= '9')
}

func (f field) present() bool { return len(f.raw) > 0 }

// kind is what the value is, for a person.
func (f field) kind() string {
	switch {
	case !f.present():
		return "null"
	case f.is('{'):
		return "an object"
	case f.is('['):
		return "an array"
	case f.is('"'):
		return "a string"
	case f.is('0'):
		return "a number"
	}
	return "a boolean"
}

// refuse keeps a mistake, unless there is one already.
func (f field) refuse(format string, args ...any) {
	if f.body.err == nil {
		f.body.err = badRequest(f.path, "%s: %s", f.path, fmt.Sprintf(format, args...))
	}
}

// mustBe refuses a value of another type. One that is absent is refused, too.
func (f field) mustBe(want string) {
	if !f.present() {
		f.refuse("is missing; it must be %s", want)
		return
	}
	f.refuse("must be %s, not %s", want, f.kind())
}

// required refuses an absent value.
func (f field) required(want string) field {
	if !f.present() {
		f.mustBe(want)
	}
	return f
}

// unsupported refuses a value that is right and cannot be obeyed.
func (f field) unsupported(way string) {
	f.refuse("%.80s is not supported; %s", f.raw, way)
}

// object is a field with its members. One of another type has none.
type object struct {
	field
	members map[string]json.RawMessage
}

func (f field) object() object {
	o := object{field: f}
	if f.present() && f.is('{') {
		_ = json.Unmarshal(f.raw, &o.members) // the body is valid
	} else if f.present() {
		f.mustBe("an object")
	}
	return o
}

func (o object) get(name string) field {
	path := name
	if o.path != "" {
		path = o.path + "." + name
	}
	raw := o.members[name]
	if string(raw) == "null" {
		raw = nil
	}
	return field{o.body, path, raw}
}

// list gives the items of an array.
func (f field) list() []field {
	if !f.present() {
		return nil
	}
	if !f.is('[') {
		f.mustBe("an array")
		return nil
	}
	var raw []json.RawMessage
	_ = json.Unmarshal(f.raw, &raw) // the body is valid
	items := make([]field, len(raw))
	for i, r := range raw {
		if string(r) == "null" {
			r = nil
		}
		items[i] = field{f.body, f.path + "[" + strconv.Itoa(i) + "]", r}
	}
	return items
}

// atMost is a list that may not be longer.
func (f field) atMost(n int) []field {
	items := f.list()
	if len(items) > n {
		f.refuse("has %d items; at most %d are allowed", len(items), n)
		return nil
	}
	return items
}

func (f field) text() (s string) {
	if f.present() && !f.is('"') {
		f.mustBe("a string")
		return ""
	}
	if f.present() {
		_ = json.Unmarshal(f.raw, &s) // the body is valid
	}
	return s
}

func (f field) flag(absent bool) bool {
	switch {
	case !f.present():
		return absent
	case !f.is('t') && !f.is('f'):
		f.mustBe("a boolean")
	}
	return f.is('t')
}

func (f field) number(absent float64) float64 {
	if !f.present() {
		return absent
	}
	if !f.is('0') {
		f.mustBe("a number")
		return absent
	}
	v, err := strconv.ParseFloat(string(bytes.TrimSpace(f.raw)), 64)
	if err != nil {
		f.refuse("%.40s is out of range", f.raw)
	}
	return v
}

// integer takes 4.0 for 4, as clients without integers write it.
func (f field) integer(absent int) int {
	v := f.number(float64(absent))
	if v != math.Trunc(v) || math.Abs(v) > math.MaxInt32 {
		f.refuse("must be a whole number of 32 bits, not %.40s", f.raw)
		return absent
	}
	return int(v)
}

func (f field) positive(absent int) int {
	n := f.integer(absent)
	if n < 1 && f.present() {
		f.refuse("is %d; it must be 1 or more", n)
	}
	return n
}

// oneOf refuses a text that is none of these; "" stands for an absent one.
func (f field) oneOf(values ...string) string {
	s := f.text()
	for _, v := range values {
		if s == v {
			return s
		}
	}
	if f.present() {
		f.refuse("%q is not supported; use one of %q", s, values)
	}
	return ""
}
