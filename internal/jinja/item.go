package jinja

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

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
		return nil, fmt.Errorf("%s is undefined: it has no attribute %q", clip(v.name), clip(name))
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
	return nil, fmt.Errorf("%s has no attribute %q here", kindOf(v), clip(name))
}

// dictAttributes are what jinja2 finds on a dict before it looks for a key of that name.
var dictAttributes = []string{"clear", "copy", "fromkeys", "get", "items", "keys", "pop", "popitem", "setdefault",
	"update", "values"}

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
			return nil, fmt.Errorf("%s is undefined: it has no item %q", clip(v.name), clip(k.s))
		}
		if strings.HasPrefix(k.s, "_") {
			return nil, fmt.Errorf("the attribute %q is not supported", clip(k.s))
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

// slice is Python's v[start:stop:step]; nil stands for a bound left out.
func (e *evaluator) slice(v, start, stop, step Value) (Value, error) {
	switch v.(type) {
	case Text, *List:
	default:
		return nil, fmt.Errorf("slicing %s is not supported", kindOf(v))
	}
	if text, ok := v.(Text); ok && (step == nil || step == int64(1)) {
		return e.part(text, start, stop)
	}
	length, err := e.length(v)
	if err != nil {
		return nil, err
	}
	from, to, by, err := sliceBounds(int64(length), start, stop, step)
	if err != nil {
		return nil, err
	}
	count := 0
	switch {
	case by > 0 && from < to:
		count = int((to-from-1)/by) + 1
	case by < 0 && from > to:
		count = int((from-to-1)/-by) + 1
	}
	if list, ok := v.(*List); ok {
		if err := e.pay(1+count/16, 16*count); err != nil {
			return nil, err
		}
		l := &List{Items: make([]Value, count), tuple: list.tuple}
		for i := range l.Items {
			l.Items[i] = list.Items[from+int64(i)*by]
		}
		return l, nil
	}
	text := v.(Text)
	// The offsets of all characters, then the chosen ones.
	if err := e.pay(1+length/8+count/4, 4*length+12*count); err != nil {
		return nil, err
	}
	offsets := make([]int32, 0, length)
	for at := range text.s {
		offsets = append(offsets, int32(at))
	}
	var b textBuilder
	for i := range int64(count) {
		at := int(offsets[from+i*by])
		_, n := utf8.DecodeRuneInString(text.s[at:])
		b.add(text.slice(at, at+n))
	}
	return b.text(), nil
}

// part is text[start:stop], for which the text's length is not needed.
func (e *evaluator) part(t Text, start, stop Value) (Value, error) {
	from, to := 0, len(t.s)
	for _, bound := range []struct {
		v  Value
		at *int
	}{{start, &from}, {stop, &to}} {
		n, ok := bound.v.(int64)
		if !ok && bound.v != nil {
			return nil, fmt.Errorf("slicing by %s is not supported", kindOf(bound.v))
		}
		if bound.v == nil {
			continue
		}
		var err error
		if *bound.at, err = e.offset(t, n); err != nil {
			return nil, err
		}
	}
	return t.slice(from, to), nil
}

func sliceBounds(n int64, start, stop, step Value) (from, to, by int64, err error) {
	bound := func(v Value, otherwise int64) int64 {
		i, ok := v.(int64)
		if !ok && v != nil && err == nil {
			err = fmt.Errorf("slicing by %s is not supported", kindOf(v))
		}
		if v == nil {
			return otherwise
		}
		return i
	}
	by = bound(step, 1)
	if by == 0 && err == nil {
		err = errors.New("slice step is zero")
	}
	first, last := int64(0), n // lowest and highest values of a bound
	defaultStart, defaultStop := first, last
	if by < 0 {
		first, last = -1, n-1
		defaultStart, defaultStop = last, first
	}
	// A step beyond the length takes the first character only.
	by = max(-n-1, min(n+1, by))
	clamp := func(v Value, otherwise int64) int64 {
		i := bound(v, otherwise)
		if v != nil && i < 0 {
			i += n
		}
		return max(first, min(last, i))
	}
	return clamp(start, defaultStart), clamp(stop, defaultStop), by, err
}
