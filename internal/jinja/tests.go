package jinja

import (
	"errors"
	"math/big"
)

// test is what stands behind "is", with one argument at most.
type test struct {
	arguments int
	holds     func(e *evaluator, v Value, args []Value) (bool, error)
}

// kindTest is a test that looks at the kind of a value.
func kindTest(holds func(v Value) bool) test {
	return test{0, func(_ *evaluator, v Value, _ []Value) (bool, error) { return holds(v), nil }}
}

// comparing is a test that is an operator.
func comparing(op string) test {
	return test{1, func(e *evaluator, v Value, args []Value) (bool, error) { return e.compare(op, v, args[0]) }}
}

// divides is a test of v % by == rest.
func divides(by, rest Value) func(e *evaluator, v Value) (bool, error) {
	return func(e *evaluator, v Value) (bool, error) {
		if _, isText := v.(Text); isText {
			return false, errors.New("a remainder of a string is not supported")
		}
		r, err := e.arithmetic("%", v, by)
		if err != nil {
			return false, err
		}
		return e.equal(r, rest, 0)
	}
}

var tests = map[string]test{
	"defined":   kindTest(func(v Value) bool { return !isUndefined(v) }),
	"undefined": kindTest(isUndefined),
	"none":      kindTest(func(v Value) bool { return v == nil }),
	"string":    kindTest(func(v Value) bool { _, ok := v.(Text); return ok }),
	"mapping":   kindTest(func(v Value) bool { _, ok := v.(*Dict); return ok }),
	"boolean":   kindTest(func(v Value) bool { _, ok := v.(bool); return ok }),
	"true":      kindTest(func(v Value) bool { b, ok := v.(bool); return ok && b }),
	"false":     kindTest(func(v Value) bool { b, ok := v.(bool); return ok && !b }),
	"float":     kindTest(func(v Value) bool { _, ok := v.(float64); return ok }),
	"integer":   kindTest(isInteger),
	"number": kindTest(func(v Value) bool {
		switch v.(type) {
		case bool, float64:
			return true
		}
		return isInteger(v)
	}),
	"iterable": {0, func(e *evaluator, v Value, _ []Value) (bool, error) {
		_, err := e.iterate(v)
		return err == nil, nil
	}},
	"sequence": {0, func(e *evaluator, v Value, _ []Value) (bool, error) {
		switch v.(type) {
		case undefined, *loop:
			return false, errors.New(`the test "sequence" on this is not supported`)
		case Text, *List, *Dict, *span:
			return true, nil
		}
		return false, nil
	}},
	"odd":  {0, func(e *evaluator, v Value, _ []Value) (bool, error) { return divides(int64(2), int64(1))(e, v) }},
	"even": {0, func(e *evaluator, v Value, _ []Value) (bool, error) { return divides(int64(2), int64(0))(e, v) }},
	"divisibleby": {1, func(e *evaluator, v Value, args []Value) (bool, error) {
		return divides(args[0], int64(0))(e, v)
	}},
	"eq": comparing("=="), "equalto": comparing("=="), "ne": comparing("!="), "in": comparing("in"),
	"lt": comparing("<"), "lessthan": comparing("<"), "le": comparing("<="),
	"gt": comparing(">"), "greaterthan": comparing(">"), "ge": comparing(">="),
}

func isUndefined(v Value) bool { _, missing := v.(undefined); return missing }

func isInteger(v Value) bool {
	switch v.(type) {
	case int64, *big.Int:
		return true
	}
	return false
}

func (e *evaluator) test(name string, v Value, args []Value) (Value, error) {
	holds, err := tests[name].holds(e, v, args)
	if err != nil {
		return nil, wrap(err, "test", name)
	}
	return holds, nil
}
