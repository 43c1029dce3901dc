package jinja

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// Value is what a template computes with: nil, bool, int64, *big.Int, float64, Text, *List, *Dict, and inside of a
// rendering an undefined, *span, *view, *generator, *namespace, *loop, *macro or function.
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

// Get is Lookup for templates and who writes what they write: a key that is not there gives an undefined value, which
// prints as nothing.
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
		return fmt.Sprintf("undefined (%s)", clip(v.name))
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

// clip shortens a stranger's text for an error.
func clip(s string) string {
	const longest = 60
	if len(s) <= longest {
		return s
	}
	return strings.ToValidUTF8(s[:longest], "") + "..."
}

// Print returns what {{ v }} prints. The Python text of lists and dicts is nobody's wish in a prompt, and refused.
// Texts keep the origins of their characters; what is made of other values is data.
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
