package jinja

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// Value is what a template computes with: nil, bool, int64, *big.Int, float64, Text, *List, *Dict, and inside of a rendering an undefined, *span, *view,
// *generator, *namespace, *loop, *macro or function.
type Value any

// List is a list, or a template's tuple.
type List struct {
	Items []Value
	tuple bool
}

// Dict is a dict in the order in which its keys first appeared. The zero Dict is empty.
type Dict struct {
	keys   []Text
	values []Value
	places map[string]int // of the keys, where there are more than a few
}

// NewDict returns an empty dict.
func NewDict() *Dict { return &Dict{} }

// fewKeys are looked through faster than a map.
const fewKeys = 8

// Set sets a key.
func (d *Dict) Set(key Text, v Value) {
	if i := d.place(key.s); i >= 0 {
		d.values[i] = v
		return
	}
	d.keys, d.values = append(d.keys, key), append(d.values, v)
	switch {
	case d.places != nil:
		d.places[key.s] = len(d.keys) - 1
	case len(d.keys) > fewKeys:
		d.places = make(map[string]int, 2*fewKeys)
		for i, k := range d.keys {
			d.places[k.s] = i
		}
	}
}

// place is where a key stands, or -1.
func (d *Dict) place(key string) int {
	if d.places != nil {
		if i, found := d.places[key]; found {
			return i
		}
		return -1
	}
	for i, k := range d.keys {
		if k.s == key {
			return i
		}
	}
	return -1
}

// Lookup returns the value of a key, if there is one.
func (d *Dict) Lookup(key string) (Value, bool) {
	if i := d.place(key); i >= 0 {
		return d.values[i], true
	}
	return nil, false
}

// Len is the number of keys.
func (d *Dict) Len() int { return len(d.keys) }

// Get is Lookup for templates and who writes what they write: a key that is not there gives an undefined value, which prints as nothing.
func (d *Dict) Get(key string) Value {
	if v, found := d.Lookup(key); found {
		return v
	}
	return undefined{key}
}

// undefined is what jinja2 makes of a name or key that is not there.
type undefined struct{ name string }

// namespace is a template's namespace(): the only thing whose attributes can be set.
type namespace struct{ attributes *Dict }

// function stands for one of globalNames.
type function struct{ name string }

// macro is a template's own function; outer is what it sees.
type macro struct {
	*macroStatement
	outer *scope
}

// span is range(...).
type span struct{ start, step, n int64 }

// view is a dict's keys(), values() or items().
type view struct {
	of   *Dict
	what string
}

// generator is what some filters return: it is run through once.
type generator struct{ items []Value }

func kindOf(v Value) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		return "a bool"
	case Text:
		return "a string"
	case int64, *big.Int:
		return "an int"
	case float64:
		return "a float"
	case *List:
		if v.tuple {
			return "a tuple"
		}
		return "a list"
	case *Dict:
		return "a dict"
	case undefined:
		return fmt.Sprintf("undefined (%s)", v.name)
	case function:
		return "a function"
	case *macro:
		return "a macro"
	case *loop:
		return "a loop"
	case *span:
		return "a range"
	case *view:
		return "a view of a dict"
	case *generator:
		return "a generator"
	}
	return "a namespace"
}

// Print returns what {{ v }} prints. The Python text of lists and dicts is nobody's wish in a prompt, and refused. Texts keep the origins of their
// characters; what is made of other values is data.
func Print(v Value) (Text, error) {
	switch v := v.(type) {
	case nil:
		return Data("None"), nil
	case undefined:
		return Text{}, nil
	case bool:
		if v {
			return Data("True"), nil
		}
		return Data("False"), nil
	case Text:
		return v, nil
	case int64:
		return Data(strconv.FormatInt(v, 10)), nil
	case *big.Int:
		return Data(v.String()), nil
	case float64:
		return Data(floatRepr(v, "inf", "nan")), nil
	}
	return Text{}, fmt.Errorf("printing %s is not supported", kindOf(v))
}

func truthy(v Value) bool {
	switch v := v.(type) {
	case nil, undefined:
		return false
	case bool:
		return v
	case Text:
		return v.s != ""
	case int64:
		return v != 0
	case float64:
		return v != 0
	case *List:
		return len(v.Items) > 0
	case *Dict:
		return len(v.keys) > 0
	case *span:
		return v.n > 0
	case *view:
		return len(v.of.keys) > 0
	}
	return true
}

// equal is Python's ==.
func (e *evaluator) equal(a, b Value, depth int) (bool, error) {
	if depth > maxDataDepth {
		return false, errDepth
	}
	if err := e.pay(1, 0); err != nil {
		return false, err
	}
	switch x := a.(type) {
	case nil:
		return b == nil, nil
	case undefined:
		_, ok := b.(undefined)
		return ok, nil
	case Text:
		y, ok := b.(Text)
		if !ok || len(x.s) != len(y.s) {
			return false, nil
		}
		return x.s == y.s, e.payScan(len(x.s))
	case *List:
		y, ok := b.(*List)
		if !ok || x.tuple != y.tuple || len(x.Items) != len(y.Items) {
			return false, nil
		}
		for i := range x.Items {
			if same, err := e.equal(x.Items[i], y.Items[i], depth+1); err != nil || !same {
				return false, err
			}
		}
		return true, nil
	case *Dict:
		y, ok := b.(*Dict)
		if !ok || len(x.keys) != len(y.keys) {
			return false, nil
		}
		for i, key := range x.keys {
			other, found := y.Lookup(key.s)
			if !found {
				return false, e.payScan(len(key.s))
			}
			if same, err := e.equal(x.values[i], other, depth+1); err != nil || !same {
				return false, err
			}
		}
		return true, nil
	case *namespace, *macro, *loop, *generator:
		return a == b, nil
	case *span, *view, function:
		return false, fmt.Errorf("comparing %s is not supported", kindOf(a))
	}
	switch b.(type) {
	case *span, *view, function:
		return false, fmt.Errorf("comparing %s is not supported", kindOf(b))
	}
	c, ok, err := e.compareNumbers(a, b)
	return ok && c == 0, err
}

// compareNumbers compares ints, floats and bools exactly; ok says whether they are.
func (e *evaluator) compareNumbers(a, b Value) (c int, ok bool, err error) {
	if x, isInt := a.(int64); isInt {
		if y, isInt := b.(int64); isInt {
			switch {
			case x < y:
				return -1, true, nil
			case x > y:
				return 1, true, nil
			}
			return 0, true, nil
		}
	}
	x, okX := exact(a)
	y, okY := exact(b)
	if !okX || !okY {
		return 0, false, nil
	}
	return x.Cmp(y), true, e.pay(20, 0)
}

// exact is the exact value of an int, float or bool.
func exact(v Value) (*big.Float, bool) {
	const bits = 4096 // any float64 fits, and any int that is read
	f := new(big.Float).SetPrec(bits)
	switch v := v.(type) {
	case bool:
		if v {
			return f.SetInt64(1), true
		}
		return f, true
	case int64:
		return f.SetInt64(v), true
	case *big.Int:
		return f.SetInt(v), true
	case float64:
		if v != v {
			return nil, false
		}
		return f.SetFloat64(v), true
	}
	return nil, false
}

// order is Python's three-way comparison for <, <=, > and >=.
func (e *evaluator) order(a, b Value) (int, error) {
	if x, ok := a.(Text); ok {
		if y, ok := b.(Text); ok {
			// The order of UTF-8 is that of code points.
			return strings.Compare(x.s, y.s), e.payScan(min(len(x.s), len(y.s)))
		}
	}
	c, ok, err := e.compareNumbers(a, b)
	if err == nil && !ok {
		err = fmt.Errorf("%s and %s have no order", kindOf(a), kindOf(b))
	}
	return c, err
}

// contains is Python's "item in container".
func (e *evaluator) contains(container, item Value) (bool, error) {
	switch c := container.(type) {
	case Text:
		s, ok := item.(Text)
		if !ok {
			return false, fmt.Errorf("%s in a string: only strings are", kindOf(item))
		}
		at, err := e.find(c.s, s.s)
		return at >= 0, err
	case *List, *span, *view:
		next, err := e.iterate(c)
		if err != nil {
			return false, err
		}
		for {
			other, ok, err := next()
			if err != nil || !ok {
				return false, err
			}
			if same, err := e.equal(item, other, 0); err != nil || same {
				return same, err
			}
		}
	case *Dict:
		switch key := item.(type) {
		case Text:
			_, found := c.Lookup(key.s)
			return found, e.payScan(len(key.s))
		case *List, *Dict:
			return false, fmt.Errorf("%s cannot be a dict's key", kindOf(item))
		}
		return false, nil
	case undefined:
		return false, nil
	}
	return false, fmt.Errorf(`"in" on %s is not supported`, kindOf(container))
}

// length is Python's len.
func (e *evaluator) length(v Value) (int, error) {
	switch v := v.(type) {
	case Text:
		if err := e.payScan(len(v.s)); err != nil {
			return 0, err
		}
		return runeCount(v.s), nil
	case *List:
		return len(v.Items), nil
	case *Dict:
		return len(v.keys), nil
	case *span:
		return int(v.n), nil
	case *view:
		return len(v.of.keys), nil
	case undefined:
		return 0, nil
	}
	return 0, fmt.Errorf("%s has no length", kindOf(v))
}

// attribute is jinja2's v.name.
func attribute(v Value, name string) (Value, error) {
	switch v := v.(type) {
	case undefined:
		return nil, fmt.Errorf("%s is undefined: it has no attribute %q", v.name, name)
	case *Dict:
		if slices.Contains(dictAttributes, name) {
			return nil, fmt.Errorf("the dict method %q outside a call is not supported", name)
		}
		return v.Get(name), nil
	case *namespace:
		return v.attributes.Get(name), nil
	case *loop:
		return v.attribute(name)
	case nil:
		return undefined{name}, nil
	}
	// Python's strings, numbers and lists have attributes, none of which a template reads for its text.
	return nil, fmt.Errorf("%s has no attribute %q here", kindOf(v), name)
}

// dictAttributes are what jinja2 finds on a dict before it looks for a key of that name.
var dictAttributes = []string{"clear", "copy", "fromkeys", "get", "items", "keys", "pop", "popitem", "setdefault", "update", "values"}

// item is jinja2's v[key].
func (e *evaluator) item(v, key Value) (Value, error) {
	switch k := key.(type) {
	case Text:
		switch v := v.(type) {
		case *Dict:
			if err := e.payScan(len(k.s)); err != nil {
				return nil, err
			}
			if value, found := v.Lookup(k.s); found {
				return value, nil
			}
		case undefined:
			return nil, fmt.Errorf("%s is undefined: it has no item %q", v.name, k.s)
		}
		if strings.HasPrefix(k.s, "_") {
			return nil, fmt.Errorf("the attribute %q is not supported", k.s)
		}
		return attribute(v, k.s)
	case int64:
		switch v := v.(type) {
		case *List:
			if i, ok := index(k, int64(len(v.Items))); ok {
				return v.Items[i], nil
			}
			return undefined{"index out of range"}, nil
		case *span:
			if i, ok := index(k, v.n); ok {
				return v.start + i*v.step, nil
			}
			return undefined{"index out of range"}, nil
		case Text:
			return e.character(v, k)
		}
	}
	return nil, fmt.Errorf("indexing %s by %s is not supported", kindOf(v), kindOf(key))
}

func index(i, n int64) (int64, bool) {
	if i < 0 {
		i += n
	}
	return i, i >= 0 && i < n
}

// character is the k-th of a text, those below 0 counted from the end.
func (e *evaluator) character(t Text, k int64) (Value, error) {
	at, err := e.offset(t, k)
	if err != nil {
		return nil, err
	}
	if k < 0 {
		// The beginning is also where k too far below 0 leads to.
		if at == 0 && int64(runeCount(t.s)) < -k {
			return undefined{"index out of range"}, nil
		}
	} else if at == len(t.s) {
		return undefined{"index out of range"}, nil
	}
	return t.slice(at, at+runeOffset(t.s[at:], 1)), nil
}

// offset is runeOffset within the budget.
func (e *evaluator) offset(t Text, n int64) (int, error) {
	n = max(-maxBytes, min(maxBytes, n)) // far beyond the ends of what any template sees
	// A character takes four bytes at most.
	if err := e.payScan(2 * int(min(4*max(n, -n), int64(len(t.s))))); err != nil {
		return 0, err
	}
	return runeOffset(t.s, n), nil
}
