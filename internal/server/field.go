package server

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// field is a value in the JSON body of a request, and the path to it. The body keeps the first mistake that is found
// in any of its fields; what is read of a wrong one is zero, so that a decoder reads on and looks for mistakes once, at
// the end.
type field struct {
	body *body
	path string          // such as messages[2].content, "" for the body
	raw  json.RawMessage // nil: absent or null
}

// body is what the fields of one request share.
type body struct{ err error }

// rawObject is a JSON object as readJSON gives it. Its names are told apart by case, as the APIs' own servers do.
type rawObject map[string]json.RawMessage

// readBody begins to read a request.
func readBody(members rawObject) (object, *body) {
	b := &body{}
	return object{field{b, "", json.RawMessage("{}")}, members}, b
}

// is tells whether a value begins with a character that tells its type, or is a number, for 0.
func (f field) is(first byte) bool {
	if !f.present() {
		return false
	}
	c := f.raw[0]
	return c == first || first == '0' && (c == '-' || c >= '0' && c <= '9')
}

func (f field) present() bool { return len(f.raw) > 0 }

// refuse keeps a mistake, unless there is one already.
func (f field) refuse(format string, args ...any) {
	if f.body.err == nil {
		f.body.err = badRequest(f.path, "%s %s", f.path, fmt.Sprintf(format, args...))
	}
}

// mustBe refuses a value of another type. One that is absent is refused, too.
func (f field) mustBe(want string) {
	if !f.present() {
		f.refuse("is missing; it must be %s", want)
		return
	}
	f.refuse("is %s; it must be %s", kind(f.raw), want)
}

// required refuses an absent value.
func (f field) required(want string) field {
	if !f.present() {
		f.mustBe(want)
	}
	return f
}

// unsupported refuses a value that is right and cannot be obeyed; way is what to do.
func (f field) unsupported(way string) {
	if f.body.err == nil {
		f.body.err = unsupported(f.path, "%s is %.80s, which is not supported; %s", f.path, f.raw, way)
	}
}

// object is a field with its members. One of another type has none.
type object struct {
	field
	members rawObject
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
	return newField(o.body, path, o.members[name])
}

func newField(b *body, path string, raw json.RawMessage) field {
	if isNull(raw) {
		raw = nil
	}
	return field{b, path, raw}
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
		items[i] = newField(f.body, f.path+"["+strconv.Itoa(i)+"]", r)
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
		f.mustBe("true or false")
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
	v, err := strconv.ParseFloat(string(f.raw), 64)
	if err != nil {
		f.refuse("is %.40s, which no number is", f.raw)
	}
	return v
}

// integer takes 4.0 for 4, as clients without integers write it.
func (f field) integer(absent int) int {
	v := f.number(float64(absent))
	if v != math.Trunc(v) || math.Abs(v) > math.MaxInt32 {
		f.refuse("is %.40s; it must be a whole number of 32 bits", f.raw)
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
		f.unsupported(fmt.Sprintf("use one of %q", values))
	}
	return ""
}
