package jinja

import (
	"errors"
	"fmt"
	"strings"
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
