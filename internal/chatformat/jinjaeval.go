package chatformat

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/nikolalohinski/gonja/v2/nodes"
	"github.com/nikolalohinski/gonja/v2/tokens"
)

const (
	maxSteps  = 2_000_000 // nodes visited in one rendering
	maxOutput = 1 << 28   // bytes made by one rendering, intermediate strings included
)

var (
	errBreak    = errors.New("break")
	errContinue = errors.New("continue")
)

// evaluator walks a checked template. It is Python's semantics on gonja's syntax tree: gonja's own evaluator takes undefined for None, strings for
// bytes, and more (see the package tests' expressions golden, each line of which comes out as in jinja2 or is refused).
type evaluator struct {
	out    strings.Builder
	scopes []map[string]any
	now    func() time.Time
	steps  int
	bytes  int
}

func (e *evaluator) lookup(name string) any {
	for i := len(e.scopes) - 1; i >= 0; i-- {
		if v, found := e.scopes[i][name]; found {
			return v
		}
	}
	if slices.Contains(globalNames, name) {
		return function{name}
	}
	return undefined{name}
}

// spend bounds the work of an untrusted template.
func (e *evaluator) spend(bytes int) error {
	e.steps++
	e.bytes += bytes
	if e.steps > maxSteps || e.bytes > maxOutput {
		return errors.New("the template works without end")
	}
	return nil
}

func (e *evaluator) run(body []nodes.Node) error {
	for _, n := range body {
		if err := e.node(n); err != nil {
			return err
		}
	}
	return nil
}

func (e *evaluator) node(n nodes.Node) error {
	switch n := n.(type) {
	case *nodes.Output:
		v, err := e.choose(choice{n.Expression, n.Condition, n.Alternative})
		if err != nil {
			return err
		}
		text, err := printed(v)
		if err != nil {
			return err
		}
		e.out.WriteString(text)
		return e.spend(len(text))
	case *nodes.ControlStructureBlock:
		if err := e.spend(0); err != nil {
			return err
		}
		switch s := n.ControlStructure.(type) {
		case *ifStatement:
			return e.ifStatement(s)
		case *forStatement:
			return e.forStatement(s)
		case *setStatement:
			return e.setStatement(s)
		case *loopControl:
			if s.isBreak {
				return errBreak
			}
			return errContinue
		}
	}
	return fmt.Errorf("unsupported part %T", n)
}

func (e *evaluator) ifStatement(s *ifStatement) error {
	for i, condition := range s.conditions {
		v, err := e.eval(condition)
		if err != nil {
			return err
		}
		if truthy(v) {
			return e.run(s.bodies[i])
		}
	}
	if len(s.bodies) > len(s.conditions) {
		return e.run(s.bodies[len(s.conditions)])
	}
	return nil
}

// scoped runs f with a scope of its own.
func (e *evaluator) scoped(f func(scope map[string]any) error) error {
	scope := make(map[string]any, 4)
	e.scopes = append(e.scopes, scope)
	err := f(scope)
	e.scopes = e.scopes[:len(e.scopes)-1]
	return err
}

func (e *evaluator) forStatement(s *forStatement) error {
	v, err := e.eval(s.items)
	if err != nil {
		return err
	}
	items, err := iterate(v)
	if err != nil {
		return err
	}
	if s.condition != nil {
		var kept []any
		for _, it := range items {
			err := e.scoped(func(scope map[string]any) error {
				scope["loop"] = undefined{"loop"}
				if err := assignTargets(scope, s.targets, it); err != nil {
					return err
				}
				ok, err := e.eval(s.condition)
				if truthy(ok) {
					kept = append(kept, it)
				}
				return err
			})
			if err != nil {
				return err
			}
		}
		items = kept
	}
	if len(items) == 0 {
		return e.scoped(func(map[string]any) error { return e.run(s.otherwise) })
	}
	for i := range items {
		err := e.scoped(func(scope map[string]any) error {
			scope["loop"] = loop{items, i}
			if err := assignTargets(scope, s.targets, items[i]); err != nil {
				return err
			}
			if err := e.spend(0); err != nil {
				return err
			}
			return e.run(s.body)
		})
		switch err {
		case nil, errContinue:
		case errBreak:
			return nil
		default:
			return err
		}
	}
	return nil
}

func assignTargets(scope map[string]any, targets []string, v any) error {
	if len(targets) == 1 {
		scope[targets[0]] = v
		return nil
	}
	l, ok := v.(*list)
	if !ok || len(l.items) != len(targets) {
		return fmt.Errorf("a loop over %s cannot fill %d variables", kindOf(v), len(targets))
	}
	for i, target := range targets {
		scope[target] = l.items[i]
	}
	return nil
}

func (e *evaluator) setStatement(s *setStatement) error {
	v, err := e.choose(s.value)
	if err != nil {
		return err
	}
	if s.attribute == "" {
		e.scopes[len(e.scopes)-1][s.target] = v
		return nil
	}
	ns, ok := e.lookup(s.target).(*namespace)
	if !ok {
		return fmt.Errorf("setting %s.%s: %s is not a namespace", s.target, s.attribute, s.target)
	}
	ns.attributes.set(s.attribute, v)
	return nil
}

func (e *evaluator) choose(c choice) (any, error) {
	if c.condition == nil {
		return e.eval(c.value)
	}
	ok, err := e.eval(c.condition)
	switch {
	case err != nil:
		return nil, err
	case truthy(ok):
		return e.eval(c.value)
	case c.alternative == nil:
		return undefined{"the inline if-expression"}, nil
	}
	return e.eval(c.alternative)
}

func (e *evaluator) eval(n nodes.Node) (any, error) {
	if err := e.spend(0); err != nil {
		return nil, err
	}
	switch n := n.(type) {
	case *nodes.String:
		return n.Val, nil
	case *nodes.Integer:
		return int64(n.Val), nil
	case *nodes.Float:
		return n.Val, nil
	case *nodes.Bool:
		return n.Val, nil
	case *nodes.None:
		return nil, nil
	case *nodes.Name:
		if n.Name.Val == "none" {
			return nil, nil
		}
		return e.lookup(n.Name.Val), nil
	case *nodes.List:
		items, err := e.evalAll(n.Val)
		return &list{items}, err
	case *nodes.Tuple:
		items, err := e.evalAll(n.Val)
		return &list{items}, err
	case *nodes.Dict:
		o := newObject()
		for _, pair := range n.Pairs {
			kv, err := e.evalAll([]nodes.Expression{pair.Key, pair.Value})
			if err != nil {
				return nil, err
			}
			key, ok := kv[0].(string)
			if !ok {
				return nil, fmt.Errorf("a dict's key is %s: only strings are supported", kindOf(kv[0]))
			}
			o.set(key, kv[1])
		}
		return o, nil
	case *nodes.GetAttribute:
		v, err := e.eval(n.Node)
		if err != nil {
			return nil, err
		}
		return attribute(v, n.Attribute)
	case *nodes.GetItem:
		vk, err := e.evalAll([]nodes.Expression{n.Node, n.Arg})
		if err != nil {
			return nil, err
		}
		return item(vk[0], vk[1])
	case *nodes.GetSlice:
		var bounds [4]any
		for i, part := range []nodes.Node{n.Node, n.Start, n.End, n.Step} {
			if part == nil {
				continue
			}
			v, err := e.eval(part)
			if err != nil {
				return nil, err
			}
			bounds[i] = v
		}
		return e.made(slice(bounds[0], bounds[1], bounds[2], bounds[3]))
	case *nodes.Negation:
		v, err := e.eval(n.Term)
		return !truthy(v), err
	case *nodes.UnaryExpression:
		v, err := e.eval(n.Term)
		if err != nil {
			return nil, err
		}
		if !n.Negative {
			return arithmetic("+", int64(0), v)
		}
		return arithmetic("-", int64(0), v)
	case *nodes.BinaryExpression:
		return e.binary(n)
	case *nodes.FilteredExpression:
		v, err := e.eval(n.Expression)
		for _, f := range n.Filters {
			if err != nil {
				return nil, err
			}
			var args arguments
			if args, err = e.arguments(f.Args, f.Kwargs); err != nil {
				return nil, err
			}
			if v, err = e.made(filters[f.Name](v, &args)); err == nil {
				err = args.rest()
			}
			if err != nil {
				err = fmt.Errorf("filter %q: %w", f.Name, err)
			}
		}
		return v, err
	case *nodes.TestExpression:
		v, err := e.eval(n.Expression)
		if err != nil {
			return nil, err
		}
		args, err := e.evalAll(n.Test.Args)
		if err != nil {
			return nil, err
		}
		if n.Test.Token.Type == tokens.In {
			return contains(args[0], v)
		}
		return tests[n.Test.Name](v, args)
	case *nodes.Call:
		return e.call(n)
	}
	return nil, fmt.Errorf("unsupported expression %T", n)
}

func (e *evaluator) evalAll(list []nodes.Expression) ([]any, error) {
	out := make([]any, len(list))
	for i, n := range list {
		v, err := e.eval(n)
		if err != nil {
			return nil, err
		}
		out[i] = v
	}
	return out, nil
}

// made pays for a new value.
func (e *evaluator) made(v any, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case string:
		err = e.spend(len(v))
	case *list:
		err = e.spend(16 * len(v.items))
	}
	return v, err
}

func (e *evaluator) binary(n *nodes.BinaryExpression) (any, error) {
	left, err := e.eval(n.Left)
	if err != nil {
		return nil, err
	}
	switch op := n.Operator.Token.Type; {
	case op == tokens.And && !truthy(left), op == tokens.Or && truthy(left):
		return left, nil
	}
	right, err := e.eval(n.Right)
	if err != nil {
		return nil, err
	}
	switch n.Operator.Token.Type {
	case tokens.And, tokens.Or:
		return right, nil
	case tokens.Equals:
		return equal(left, right), nil
	case tokens.Ne:
		return !equal(left, right), nil
	case tokens.LowerThan, tokens.LowerThanOrEqual, tokens.GreaterThan, tokens.GreaterThanOrEqual:
		c, err := order(left, right)
		if err != nil {
			return nil, err
		}
		switch n.Operator.Token.Type {
		case tokens.LowerThan:
			return c < 0, nil
		case tokens.LowerThanOrEqual:
			return c <= 0, nil
		case tokens.GreaterThan:
			return c > 0, nil
		}
		return c >= 0, nil
	case tokens.Tilde:
		a, err := printed(left)
		if err != nil {
			return nil, err
		}
		b, err := printed(right)
		if err != nil {
			return nil, err
		}
		return e.made(a+b, nil)
	case tokens.Addition:
		return e.made(arithmetic("+", left, right))
	case tokens.Subtraction:
		return arithmetic("-", left, right)
	case tokens.Multiply:
		return arithmetic("*", left, right)
	case tokens.FloorDivision:
		return arithmetic("//", left, right)
	}
	return arithmetic("%", left, right)
}

func (e *evaluator) arguments(positional []nodes.Expression, keyword map[string]nodes.Expression) (arguments, error) {
	values, err := e.evalAll(positional)
	a := arguments{positional: values, keyword: map[string]any{}}
	for name, n := range keyword {
		if err == nil {
			a.keyword[name], err = e.eval(n)
		}
	}
	return a, err
}

func (e *evaluator) call(n *nodes.Call) (any, error) {
	args, err := e.arguments(n.Args, n.Kwargs)
	if err != nil {
		return nil, err
	}
	var v any
	switch fn := n.Func.(type) {
	case *nodes.Name:
		v, err = e.global(fn.Name.Val, &args)
		if err != nil {
			return nil, err
		}
	case *nodes.GetAttribute:
		self, err := e.eval(fn.Node)
		if err != nil {
			return nil, err
		}
		if v, err = method(self, fn.Attribute, &args); err != nil {
			return nil, fmt.Errorf("method %q: %w", fn.Attribute, err)
		}
	default:
		return nil, errors.New("this call is not supported")
	}
	if err := args.rest(); err != nil {
		return nil, err
	}
	return e.made(v, nil)
}

// renderTemplate runs a checked template.
func renderTemplate(w io.StringWriter, body []nodes.Node, variables map[string]any, now func() time.Time) error {
	e := &evaluator{scopes: []map[string]any{variables, {}}, now: now}
	if err := e.run(body); err != nil {
		return err
	}
	_, err := w.WriteString(e.out.String())
	return err
}
