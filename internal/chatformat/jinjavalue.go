package chatformat

import (
	"cmp"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A template's value is a JSON value (pyjson.go), undefined, *namespace, loop or function.

// undefined is what jinja2 makes of a name or key that is not there.
type undefined struct{ name string }

// namespace is a template's namespace(): the only thing whose attributes can be set.
type namespace struct{ attributes *object }

// function stands for one of globalNames where it is not called.
type function struct{ name string }

// loop is the variable of that name in the i-th round of a loop.
type loop struct {
	items []any
	i     int
}

func (l loop) attribute(name string) any {
	n, i := int64(len(l.items)), int64(l.i)
	switch name {
	case "index":
		return i + 1
	case "index0":
		return i
	case "revindex":
		return n - i
	case "revindex0":
		return n - i - 1
	case "first":
		return i == 0
	case "last":
		return i == n-1
	case "length":
		return n
	case "previtem":
		if i > 0 {
			return l.items[i-1]
		}
	case "nextitem":
		if i < n-1 {
			return l.items[i+1]
		}
	}
	return undefined{name}
}

func kindOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		return "a bool"
	case string:
		return "a string"
	case int64, *big.Int:
		return "an int"
	case float64:
		return "a float"
	case *list:
		return "a list"
	case *object:
		return "a dict"
	case undefined:
		return fmt.Sprintf("undefined (%s)", v.name)
	case function:
		return "a function"
	case loop:
		return "a loop"
	}
	return "a namespace"
}

// printed is what {{ v }} prints. The Python text of lists and dicts is nobody's wish in a prompt, and refused.
func printed(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "None", nil
	case undefined:
		return "", nil
	case bool:
		if v {
			return "True", nil
		}
		return "False", nil
	case string:
		return v, nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case *big.Int:
		return v.String(), nil
	case float64:
		return floatRepr(v), nil
	}
	return "", fmt.Errorf("printing %s is not supported", kindOf(v))
}

func truthy(v any) bool {
	switch v := v.(type) {
	case nil, undefined:
		return false
	case bool:
		return v
	case string:
		return v != ""
	case int64:
		return v != 0
	case float64:
		return v != 0
	case *list:
		return len(v.items) > 0
	case *object:
		return len(v.keys) > 0
	}
	return true
}

// equal is Python's ==.
func equal(a, b any) bool {
	switch x := a.(type) {
	case nil:
		return b == nil
	case undefined:
		_, ok := b.(undefined)
		return ok
	case string:
		y, ok := b.(string)
		return ok && x == y
	case *list:
		y, ok := b.(*list)
		if !ok || len(x.items) != len(y.items) {
			return false
		}
		for i := range x.items {
			if !equal(x.items[i], y.items[i]) {
				return false
			}
		}
		return true
	case *object:
		y, ok := b.(*object)
		if !ok || len(x.keys) != len(y.keys) {
			return false
		}
		for _, key := range x.keys {
			other, found := y.lookup(key)
			if !found || !equal(x.values[key], other) {
				return false
			}
		}
		return true
	case *namespace:
		return a == b
	}
	x, okX := number(a)
	y, okY := number(b)
	return okX && okY && x.Cmp(y) == 0
}

// number is the exact value of an int, float or bool.
func number(v any) (*big.Float, bool) {
	const bits = 4096 // any float64 fits, and any int that a template meets
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
func order(a, b any) (int, error) {
	if x, ok := a.(string); ok {
		if y, ok := b.(string); ok {
			return cmp.Compare(x, y), nil // the order of UTF-8 is that of code points
		}
	}
	x, okX := number(a)
	y, okY := number(b)
	if !okX || !okY {
		return 0, fmt.Errorf("%s and %s have no order", kindOf(a), kindOf(b))
	}
	return x.Cmp(y), nil
}

// contains is Python's "item in container".
func contains(container, item any) (bool, error) {
	switch c := container.(type) {
	case string:
		s, ok := item.(string)
		if !ok {
			return false, fmt.Errorf("%s in a string: only strings are", kindOf(item))
		}
		return strings.Contains(c, s), nil
	case *list:
		for _, other := range c.items {
			if equal(item, other) {
				return true, nil
			}
		}
		return false, nil
	case *object:
		switch key := item.(type) {
		case string:
			_, found := c.lookup(key)
			return found, nil
		case *list, *object:
			return false, fmt.Errorf("%s cannot be a dict's key", kindOf(item))
		}
		return false, nil
	case undefined:
		return false, nil
	}
	return false, fmt.Errorf(`"in" on %s`, kindOf(container))
}

// length is Python's len.
func length(v any) (int, error) {
	switch v := v.(type) {
	case string:
		return utf8.RuneCountInString(v), nil
	case *list:
		return len(v.items), nil
	case *object:
		return len(v.keys), nil
	case undefined:
		return 0, nil
	}
	return 0, fmt.Errorf("%s has no length", kindOf(v))
}

// iterate is what a for loop runs over.
func iterate(v any) ([]any, error) {
	switch v := v.(type) {
	case *list:
		return v.items, nil
	case string:
		items := make([]any, 0, len(v))
		for _, r := range v {
			items = append(items, string(r))
		}
		return items, nil
	case *object:
		items := make([]any, len(v.keys))
		for i, key := range v.keys {
			items[i] = key
		}
		return items, nil
	case undefined:
		return nil, nil
	}
	return nil, fmt.Errorf("%s cannot be looped over", kindOf(v))
}

// attribute is jinja2's v.name.
func attribute(v any, name string) (any, error) {
	switch v := v.(type) {
	case undefined:
		return nil, fmt.Errorf("%s is undefined: it has no attribute %q", v.name, name)
	case *object:
		if dictAttributes[name] {
			return nil, fmt.Errorf("the dict method %q outside a call is not supported", name)
		}
		return v.get(name), nil
	case *namespace:
		return v.attributes.get(name), nil
	case loop:
		return v.attribute(name), nil
	case nil:
		return undefined{name}, nil
	}
	// Python's strings, numbers and lists have attributes, none of which a template reads for its text.
	return nil, fmt.Errorf("%s has no attribute %q here", kindOf(v), name)
}

// item is jinja2's v[key].
func item(v, key any) (any, error) {
	switch k := key.(type) {
	case string:
		switch v := v.(type) {
		case *object:
			if value, found := v.lookup(k); found {
				return value, nil
			}
		case undefined:
			return nil, fmt.Errorf("%s is undefined: it has no item %q", v.name, k)
		}
		return attribute(v, k)
	case int64:
		switch v := v.(type) {
		case *list:
			if i, ok := index(k, len(v.items)); ok {
				return v.items[i], nil
			}
			return undefined{"index out of range"}, nil
		case string:
			runes := []rune(v)
			if i, ok := index(k, len(runes)); ok {
				return string(runes[i]), nil
			}
			return undefined{"index out of range"}, nil
		}
	}
	return nil, fmt.Errorf("indexing %s by %s is not supported", kindOf(v), kindOf(key))
}

func index(i int64, n int) (int, bool) {
	if i < 0 {
		i += int64(n)
	}
	return int(i), i >= 0 && i < int64(n)
}

// slice is Python's v[start:stop:step]; nil stands for a bound left out.
func slice(v any, start, stop, step any) (any, error) {
	var items []any
	switch v := v.(type) {
	case string, *list:
		items, _ = iterate(v)
	default:
		return nil, fmt.Errorf("slicing %s is not supported", kindOf(v))
	}
	bound := func(v any, otherwise int64) (int64, error) {
		switch v := v.(type) {
		case nil:
			return otherwise, nil
		case int64:
			return v, nil
		}
		return 0, fmt.Errorf("slicing by %s", kindOf(v))
	}
	by, err := bound(step, 1)
	if err != nil {
		return nil, err
	}
	if by == 0 {
		return nil, errors.New("slice step is zero")
	}
	n := int64(len(items))
	first, last := int64(0), n // lowest and highest values of a bound
	defaultStart, defaultStop := first, last
	if by < 0 {
		first, last = -1, n-1
		defaultStart, defaultStop = last, first
	}
	clamp := func(v any, otherwise int64) (int64, error) {
		i, err := bound(v, otherwise)
		if v != nil && i < 0 {
			i += n
		}
		return max(first, min(last, i)), err
	}
	from, err := clamp(start, defaultStart)
	if err != nil {
		return nil, err
	}
	to, err := clamp(stop, defaultStop)
	if err != nil {
		return nil, err
	}
	out := &list{}
	for i := from; by > 0 && i < to || by < 0 && i > to; i += by {
		out.items = append(out.items, items[i])
		if by > n || by < -n {
			break
		}
	}
	if _, isString := v.(string); !isString {
		return out, nil
	}
	var b strings.Builder
	for _, c := range out.items {
		b.WriteString(c.(string))
	}
	return b.String(), nil
}

// arithmetic is Python's +, -, *, // and %, for what templates do with them.
func arithmetic(op string, a, b any) (any, error) {
	switch x := a.(type) {
	case string:
		if y, ok := b.(string); ok && op == "+" {
			return x + y, nil
		}
	case *list:
		if y, ok := b.(*list); ok && op == "+" {
			return &list{append(append([]any{}, x.items...), y.items...)}, nil
		}
	case int64:
		if y, ok := b.(int64); ok {
			return intArithmetic(op, x, y)
		}
		if y, ok := b.(float64); ok {
			return floatArithmetic(op, float64(x), y)
		}
	case float64:
		switch y := b.(type) {
		case int64:
			return floatArithmetic(op, x, float64(y))
		case float64:
			return floatArithmetic(op, x, y)
		}
	}
	return nil, fmt.Errorf("%s %s %s is not supported", kindOf(a), op, kindOf(b))
}

func intArithmetic(op string, x, y int64) (any, error) {
	const limit = 1 << 31 // products stay within int64
	if x > limit || x < -limit || y > limit || y < -limit {
		return nil, fmt.Errorf("%d %s %d is too large", x, op, y)
	}
	switch op {
	case "+":
		return x + y, nil
	case "-":
		return x - y, nil
	case "*":
		return x * y, nil
	}
	if y == 0 {
		return nil, errors.New("division by zero")
	}
	quotient, rest := x/y, x%y
	if rest != 0 && (rest < 0) != (y < 0) { // Python rounds down
		quotient, rest = quotient-1, rest+y
	}
	if op == "//" {
		return quotient, nil
	}
	return rest, nil
}

func floatArithmetic(op string, x, y float64) (any, error) {
	switch op {
	case "+":
		return x + y, nil
	case "-":
		return x - y, nil
	case "*":
		return x * y, nil
	}
	return nil, fmt.Errorf("float %s float is not supported", op)
}
