package jinja

import (
	"fmt"
	"unicode/utf8"
)

// iterator yields the values that a loop runs over, and false at the end.
type iterator func() (Value, bool, error)

// iterate is Python's iter. Each value costs when it is taken.
func (e *evaluator) iterate(v Value) (iterator, error) {
	i := -1
	counted := func(n int, at func(i int) Value) iterator {
		return func() (Value, bool, error) {
			if i++; i >= n {
				return nil, false, nil
			}
			return at(i), true, e.pay(1, 0)
		}
	}
	switch v := v.(type) {
	case *List:
		return counted(len(v.Items), func(i int) Value { return v.Items[i] }), nil
	case *Dict:
		return counted(len(v.keys), func(i int) Value { return v.keys[i] }), nil
	case *span:
		return counted(int(v.n), func(i int) Value { return v.start + int64(i)*v.step }), nil
	case *view:
		return counted(len(v.of.keys), v.at), nil
	case *generator:
		return func() (Value, bool, error) {
			if len(v.items) == 0 {
				return nil, false, nil
			}
			next := v.items[0]
			v.items = v.items[1:]
			return next, true, e.pay(1, 0)
		}, nil
	case Text:
		at := 0
		return func() (Value, bool, error) {
			if at >= len(v.s) {
				return nil, false, nil
			}
			_, n := utf8.DecodeRuneInString(v.s[at:])
			at += n
			return v.slice(at-n, at), true, e.pay(2, 0)
		}, nil
	case undefined:
		return counted(0, nil), nil
	}
	return nil, fmt.Errorf("%s cannot be looped over", kindOf(v))
}

func (v *view) at(i int) Value {
	switch v.what {
	case "keys":
		return v.of.keys[i]
	case "values":
		return v.of.values[i]
	}
	return &List{Items: []Value{v.of.keys[i], v.of.values[i]}, tuple: true}
}

// list is Python's list(v), as a new slice.
func (e *evaluator) list(v Value) ([]Value, error) {
	if _, isGenerator := v.(*generator); !isGenerator {
		n, err := e.length(v)
		size := slotBytes
		if v, isView := v.(*view); isView && v.what == "items" {
			size *= 3 // each is a tuple of two
		}
		if err == nil {
			err = e.pay(0, n*size)
		}
		if err != nil {
			return nil, err
		}
	}
	next, err := e.iterate(v)
	if err != nil {
		return nil, err
	}
	items := []Value{}
	for {
		item, ok, err := next()
		if err != nil || !ok {
			return items, err
		}
		items = append(items, item)
	}
}

// loop is the variable of that name.
type loop struct {
	next    iterator
	budget  *budget
	n       int // rounds in all, or -1 when not known yet
	index0  int
	before  Value
	current Value
	ahead   []Value // values that were asked for before their round
}

// step goes on to the next round.
func (l *loop) step() (Value, bool, error) {
	var v Value
	if len(l.ahead) > 0 {
		v, l.ahead = l.ahead[0], l.ahead[1:]
	} else {
		var ok bool
		var err error
		if v, ok, err = l.next(); err != nil || !ok {
			return nil, false, err
		}
	}
	l.index0++
	l.before, l.current = l.current, v
	return v, true, nil
}

// peek is the value of the next round, if there is one.
func (l *loop) peek() (Value, bool, error) {
	if len(l.ahead) == 0 {
		v, ok, err := l.next()
		if err != nil || !ok {
			return nil, false, err
		}
		l.ahead = append(l.ahead, v)
	}
	return l.ahead[0], true, nil
}

// length runs ahead to the end of a loop with a condition, whose rounds cannot be known otherwise.
func (l *loop) length() (int, error) {
	for l.n < 0 {
		v, ok, err := l.next()
		if err != nil {
			return 0, err
		}
		if !ok {
			l.n = l.index0 + 1 + len(l.ahead)
			break
		}
		if err := l.budget.pay(0, slotBytes); err != nil {
			return 0, err
		}
		l.ahead = append(l.ahead, v)
	}
	return l.n, nil
}

func (l *loop) attribute(name string) (Value, error) {
	switch name {
	case "index":
		return int64(l.index0 + 1), nil
	case "index0":
		return int64(l.index0), nil
	case "first":
		return l.index0 == 0, nil
	case "last":
		_, more, err := l.peek()
		return !more, err
	case "length", "revindex", "revindex0":
		n, err := l.length()
		switch name {
		case "revindex":
			n -= l.index0
		case "revindex0":
			n -= l.index0 + 1
		}
		return int64(n), err
	case "previtem":
		if l.index0 == 0 {
			return undefined{"there is no previous item"}, nil
		}
		return l.before, nil
	case "nextitem":
		v, more, err := l.peek()
		if err != nil || more {
			return v, err
		}
		return undefined{"there is no next item"}, nil
	case "depth":
		return int64(1), nil
	case "depth0":
		return int64(0), nil
	}
	return nil, fmt.Errorf("loop.%s is not supported", name)
}
