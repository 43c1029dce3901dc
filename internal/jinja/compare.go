package jinja

import (
	"fmt"
	"math/big"
	"strings"
)

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
		if err := e.payScan(len(x.s)); err != nil {
			return false, err
		}
		return x.s == y.s, nil
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
			if err := e.payScan(len(key.s)); err != nil {
				return false, err
			}
			other, found := y.Lookup(key.s)
			if !found {
				return false, nil
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
	if err := e.pay(20, 0); err != nil {
		return 0, false, err
	}
	x, okX := exact(a)
	y, okY := exact(b)
	if !okX || !okY {
		return 0, false, nil
	}
	return x.Cmp(y), true, nil
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
			if err := e.payScan(min(len(x.s), len(y.s))); err != nil {
				return 0, err
			}
			return strings.Compare(x.s, y.s), nil // the order of UTF-8 is that of code points
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
	case *Dict:
		return e.hasKey(c, item)
	case *view:
		pair, isTuple := item.(*List)
		switch {
		case c.what == "keys":
			return e.hasKey(c.of, item)
		case c.what == "items" && isTuple && pair.tuple && len(pair.Items) == 2:
			if found, err := e.hasKey(c.of, pair.Items[0]); err != nil || !found {
				return false, err
			}
		}
		return e.among(c, item)
	case *List, *span:
		return e.among(c, item)
	case undefined:
		return false, nil
	}
	return false, fmt.Errorf(`"in" on %s is not supported`, kindOf(container))
}

// hasKey is "key in dict".
func (e *evaluator) hasKey(d *Dict, key Value) (bool, error) {
	switch key := key.(type) {
	case Text:
		if err := e.payScan(len(key.s)); err != nil {
			return false, err
		}
		_, found := d.Lookup(key.s)
		return found, nil
	case nil, bool, int64, *big.Int, float64, undefined:
		return false, nil // there are no such keys here
	}
	return false, fmt.Errorf("looking for %s among the keys of a dict is not supported", kindOf(key))
}

// among says whether one of the values of a container is equal to item.
func (e *evaluator) among(container, item Value) (bool, error) {
	next, err := e.iterate(container)
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
}
