package jinja

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// arithmetic is Python's +, -, *, /, // and %, for what templates do with them.
func (e *evaluator) arithmetic(op string, a, b Value) (Value, error) {
	if op == "*" {
		if n, ok := a.(int64); ok {
			if t, ok := b.(Text); ok {
				return e.repeat(t, n)
			}
		}
	}
	switch x := a.(type) {
	case Text:
		switch y := b.(type) {
		case Text:
			if op == "+" {
				return e.join([]Text{x, y})
			}
		case int64:
			if op == "*" {
				return e.repeat(x, y)
			}
		}
	case *List:
		if y, ok := b.(*List); ok && op == "+" && x.tuple == y.tuple {
			n := len(x.Items) + len(y.Items)
			if err := e.pay(1+n/16, n*16); err != nil {
				return nil, err
			}
			return &List{Items: append(append(make([]Value, 0, n), x.Items...), y.Items...), tuple: x.tuple}, nil
		}
	case int64:
		switch y := b.(type) {
		case int64:
			return intArithmetic(op, x, y)
		case float64:
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

// repeat is Python's string * int.
func (e *evaluator) repeat(t Text, n int64) (Value, error) {
	if n <= 0 || t.s == "" {
		return Text{}, nil
	}
	if n > maxBytes {
		return nil, errMemory
	}
	copies := int(n)
	if len(t.turns) == 0 {
		if err := e.payText(copies * len(t.s)); err != nil {
			return nil, err
		}
		return Text{s: strings.Repeat(t.s, copies), literal: t.literal}, nil
	}
	// Where the copies meet, the origin may change.
	if err := e.pay(copies, copies*(t.size()+8)); err != nil {
		return nil, err
	}
	var b textBuilder
	for range copies {
		b.add(t)
	}
	return b.text(), nil
}

func (e *evaluator) join(parts []Text) (Text, error) {
	var b textBuilder
	for _, part := range parts {
		if err := e.payText(part.size() + 8); err != nil {
			return Text{}, err
		}
		b.add(part)
	}
	return b.text(), nil
}

func signed(op string, v Value) (Value, error) {
	switch v := v.(type) {
	case int64:
		if op == "-" {
			return intArithmetic("-", 0, v)
		}
		return v, nil
	case float64:
		if op == "-" {
			return -v, nil
		}
		return v, nil
	}
	return nil, fmt.Errorf("%s%s is not supported", op, kindOf(v))
}

func intArithmetic(op string, x, y int64) (Value, error) {
	const limit = 1 << 31 // products stay within int64, and quotients are exact enough
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
	switch op {
	case "/":
		return float64(x) / float64(y), nil
	case "//":
		return quotient, nil
	}
	return rest, nil
}

func floatArithmetic(op string, x, y float64) (Value, error) {
	switch op {
	case "+":
		return x + y, nil
	case "-":
		return x - y, nil
	case "*":
		return x * y, nil
	case "/":
		if y == 0 {
			return nil, errors.New("division by zero")
		}
		return x / y, nil
	}
	return nil, fmt.Errorf("float %s float is not supported", op)
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
