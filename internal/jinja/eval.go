package jinja

import (
	"errors"
	"fmt"
)

func (e *evaluator) eval(n expression) (Value, error) {
	if err := e.pay(1, 0); err != nil {
		return nil, err
	}
	if e.depth++; e.depth > maxDepth {
		return nil, errDepth
	}
	v, err := e.expression(n)
	e.depth--
	return v, err
}

func (e *evaluator) expression(n expression) (Value, error) {
	switch n := n.(type) {
	case constant:
		return n.value, nil
	case variable:
		return e.lookup(n.name)
	case listDisplay:
		items, err := e.display(n.items)
		return &List{Items: items}, err
	case tupleDisplay:
		items, err := e.display(n.items)
		return &List{Items: items, tuple: true}, err
	case dictDisplay:
		return e.dictDisplay(n)
	case getAttribute:
		v, err := e.eval(n.of)
		if err != nil {
			return nil, err
		}
		return attribute(v, n.name)
	case getItem:
		v, err := e.eval(n.of)
		if err != nil {
			return nil, err
		}
		key, err := e.eval(n.key)
		if err != nil {
			return nil, err
		}
		return e.item(v, key)
	case getSlice:
		values, err := e.evalAll([]expression{n.of, n.start, n.stop, n.step})
		if err != nil {
			return nil, err
		}
		return e.slice(values[0], values[1], values[2], values[3])
	case negation:
		v, err := e.eval(n.of)
		return !truthy(v), err
	case sign:
		v, err := e.eval(n.of)
		if err != nil {
			return nil, err
		}
		return signed(n.op, v)
	case arithmetic:
		left, err := e.eval(n.left)
		if err != nil {
			return nil, err
		}
		right, err := e.eval(n.right)
		if err != nil {
			return nil, err
		}
		return e.arithmetic(n.op, left, right)
	case concatenation:
		return e.concatenation(n)
	case logic:
		left, err := e.eval(n.left)
		if err != nil || truthy(left) == n.or {
			return left, err
		}
		return e.eval(n.right)
	case comparison:
		return e.comparison(n)
	case choice:
		condition, err := e.eval(n.condition)
		switch {
		case err != nil:
			return nil, err
		case truthy(condition):
			return e.eval(n.value)
		case n.otherwise == nil:
			return undefined{"the inline if-expression"}, nil
		}
		return e.eval(n.otherwise)
	case filterUse:
		v, err := e.eval(n.of)
		if err != nil {
			return nil, err
		}
		args, err := e.arguments(n.args)
		if err != nil {
			return nil, err
		}
		return e.filter(n.name, v, args)
	case testUse:
		v, err := e.eval(n.of)
		if err != nil {
			return nil, err
		}
		args, err := e.evalAll(n.args.positional)
		if err != nil {
			return nil, err
		}
		return e.test(n.name, v, args)
	case call:
		return e.call(n)
	}
	return nil, fmt.Errorf("unsupported expression %T", n)
}

// evalAll evaluates expressions, those that are nil to nil.
func (e *evaluator) evalAll(list []expression) ([]Value, error) {
	out := make([]Value, len(list))
	for i, n := range list {
		if n == nil {
			continue
		}
		var err error
		if out[i], err = e.eval(n); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (e *evaluator) display(items []expression) ([]Value, error) {
	if err := e.pay(1, len(items)*slotBytes); err != nil {
		return nil, err
	}
	return e.evalAll(items)
}

func (e *evaluator) dictDisplay(n dictDisplay) (Value, error) {
	if err := e.pay(1, len(n.keys)*entryBytes); err != nil {
		return nil, err
	}
	d := NewDict()
	for i := range n.keys {
		kv, err := e.evalAll([]expression{n.keys[i], n.values[i]})
		if err != nil {
			return nil, err
		}
		key, ok := kv[0].(Text)
		if !ok {
			return nil, fmt.Errorf("a dict's key is %s: only strings are supported", kindOf(kv[0]))
		}
		if err := e.payScan(len(key.s)); err != nil {
			return nil, err
		}
		d.Set(key, kv[1])
	}
	return d, nil
}

func (e *evaluator) concatenation(n concatenation) (Value, error) {
	var b textBuilder
	for _, part := range n.parts {
		v, err := e.eval(part)
		if err != nil {
			return nil, err
		}
		text, err := e.print(v)
		if err != nil {
			return nil, err
		}
		if err := e.payText(text.size()); err != nil {
			return nil, err
		}
		b.add(text)
	}
	return b.text(), nil
}

func (e *evaluator) comparison(n comparison) (Value, error) {
	left, err := e.eval(n.first)
	if err != nil {
		return nil, err
	}
	for i, op := range n.ops {
		right, err := e.eval(n.rest[i])
		if err != nil {
			return nil, err
		}
		if holds, err := e.compare(op, left, right); err != nil || !holds {
			return holds, err
		}
		left = right
	}
	return true, nil
}

func (e *evaluator) compare(op string, a, b Value) (bool, error) {
	switch op {
	case "==":
		return e.equal(a, b, 0)
	case "!=":
		same, err := e.equal(a, b, 0)
		return !same, err
	case "in":
		return e.contains(b, a)
	case "not in":
		found, err := e.contains(b, a)
		return !found, err
	}
	c, err := e.order(a, b)
	switch op {
	case "<":
		return c < 0, err
	case "<=":
		return c <= 0, err
	case ">":
		return c > 0, err
	}
	return c >= 0, err
}

// arguments are a call's arguments, taken one by one.
type arguments struct {
	positional []Value
	named      map[string]Value
}

func (e *evaluator) arguments(n callArguments) (*arguments, error) {
	positional, err := e.evalAll(n.positional)
	if err != nil {
		return nil, err
	}
	named, err := e.evalAll(n.named)
	a := &arguments{positional: positional}
	for i, name := range n.names {
		if a.named == nil {
			a.named = map[string]Value{}
		}
		if err == nil {
			a.named[name] = named[i]
		}
	}
	return a, err
}

// next takes the next argument, by place or by name, if it was given. One without a name is "".
func (a *arguments) next(name string) (Value, bool) {
	if len(a.positional) > 0 {
		v := a.positional[0]
		a.positional = a.positional[1:]
		return v, true
	}
	v, found := a.named[name]
	delete(a.named, name)
	return v, found
}

// text takes an argument that must be a string, or None for otherwise.
func (a *arguments) text(name string) (t Text, given bool, err error) {
	v, given := a.next(name)
	if !given || v == nil {
		return Text{}, false, nil
	}
	t, ok := v.(Text)
	if !ok {
		return Text{}, false, fmt.Errorf("an argument is %s: expected a string", kindOf(v))
	}
	return t, true, nil
}

// needText takes an argument that must be there and a string.
func (a *arguments) needText(name string) (Text, error) {
	t, given, err := a.text(name)
	if err == nil && !given {
		err = errors.New("an argument is missing: a string is needed")
	}
	return t, err
}

// integer takes an argument that must be an int.
func (a *arguments) integer(name string, otherwise int) (int, error) {
	v, given := a.next(name)
	if !given {
		return otherwise, nil
	}
	n, ok := v.(int64)
	if !ok || n != int64(int32(n)) {
		return 0, fmt.Errorf("an argument is %s: expected a small int", kindOf(v))
	}
	return int(n), nil
}

// rest fails if arguments are left over.
func (a *arguments) rest() error {
	if len(a.positional)+len(a.named) > 0 {
		return errors.New("arguments that are not supported")
	}
	return nil
}

func (e *evaluator) call(n call) (Value, error) {
	if of, isMethod := n.function.(getAttribute); isMethod {
		self, err := e.eval(of.of)
		if err != nil {
			return nil, err
		}
		args, err := e.arguments(n.args)
		if err != nil {
			return nil, err
		}
		v, err := e.method(self, of.name, args)
		if err == nil {
			err = args.rest()
		}
		if err != nil {
			return nil, wrap(err, "method", of.name)
		}
		return v, nil
	}
	f, err := e.eval(n.function)
	if err != nil {
		return nil, err
	}
	args, err := e.arguments(n.args)
	if err != nil {
		return nil, err
	}
	switch f := f.(type) {
	case function:
		v, err := e.global(f.name, args)
		if err == nil {
			err = args.rest()
		}
		return v, err
	case *macro:
		return e.callMacro(f, args)
	}
	return nil, fmt.Errorf("calling %s", kindOf(f))
}

// wrap names what failed.
func wrap(err error, kind, name string) error {
	return fmt.Errorf("%s %q: %w", kind, name, err)
}

func (e *evaluator) callMacro(m *macro, a *arguments) (Value, error) {
	if e.calls++; e.calls > maxCalls {
		return nil, errDepth
	}
	outer := e.scope
	e.scope = m.outer
	defer func() { e.scope = outer; e.calls-- }()
	return e.captured(func() error {
		return e.scoped(m.hidden, func() error {
			for i, param := range m.params {
				v, given := a.next(param)
				if !given {
					v = undefined{param}
					if d := i - (len(m.params) - len(m.defaults)); d >= 0 {
						var err error
						if v, err = e.eval(m.defaults[d]); err != nil {
							return err
						}
					}
				}
				if err := e.assign(param, v); err != nil {
					return err
				}
			}
			if err := a.rest(); err != nil {
				return wrap(err, "macro", m.name)
			}
			return e.run(m.body)
		})
	})
}
