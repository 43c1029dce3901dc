package jinja

import (
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"
)

var (
	errBreak    = errors.New("break")
	errContinue = errors.New("continue")
)

// evaluator runs a template: Python's semantics, as jinja2 compiles templates to Python.
type evaluator struct {
	budget
	scope *scope
	out   *textBuilder
	now   func() time.Time
	depth int // of expressions and macros
	calls int // of macros within each other
}

// maxCalls bounds macros that call each other; Python's limit lies beyond.
const maxCalls = 60

// scope holds the variables of a frame, and knows the frame around it.
type scope struct {
	vars  map[string]Value
	outer *scope
}

func (e *evaluator) lookup(name string) (Value, error) {
	hops := 0
	for s := e.scope; s != nil; s = s.outer {
		if v, found := s.vars[name]; found {
			return v, e.pay(hops/2, 0)
		}
		hops++
	}
	if slices.Contains(globalNames, name) {
		return function{name}, e.pay(hops/2, 0)
	}
	return undefined{name}, e.pay(hops/2, 0)
}

// assign sets a variable of the current frame.
func (e *evaluator) assign(name string, v Value) error {
	if e.scope.vars == nil {
		e.scope.vars = make(map[string]Value, 4)
	}
	e.scope.vars[name] = v
	return e.pay(1, 0)
}

// scoped runs f in a frame of its own.
func (e *evaluator) scoped(hidden []string, f func() error) error {
	return e.inScope(&scope{outer: e.scope}, hidden, f)
}

func (e *evaluator) inScope(inner *scope, hidden []string, f func() error) error {
	if err := e.pay(4, 0); err != nil {
		return err
	}
	outer := e.scope
	e.scope = inner
	defer func() { e.scope = outer }()
	for _, name := range hidden {
		if err := e.assign(name, undefined{name}); err != nil {
			return err
		}
	}
	return f()
}

func (e *evaluator) run(body []statement) error {
	for _, s := range body {
		if err := e.statement(s); err != nil {
			return err
		}
	}
	return nil
}

func (e *evaluator) statement(s statement) error {
	if err := e.pay(1, 0); err != nil {
		return err
	}
	switch s := s.(type) {
	case textOutput:
		return e.write(s.text)
	case output:
		v, err := e.eval(s.value)
		if err != nil {
			return err
		}
		text, err := e.print(v)
		if err != nil {
			return err
		}
		return e.write(text)
	case *ifStatement:
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
	case *forStatement:
		return e.forStatement(s)
	case *setStatement:
		return e.setStatement(s)
	case *setBlock:
		text, err := e.captured(func() error {
			return e.scoped(s.hidden, func() error { return e.run(s.body) })
		})
		if err != nil {
			return err
		}
		return e.assign(s.target, text)
	case *macroStatement:
		return e.assign(s.name, &macro{s, e.scope})
	case *generation:
		return e.scoped(s.hidden, func() error { return e.run(s.body) })
	case loopControl:
		if s.isBreak {
			return errBreak
		}
		return errContinue
	}
	return fmt.Errorf("unsupported part %T", s)
}

func (e *evaluator) write(t Text) error {
	if err := e.payText(t.size()); err != nil {
		return err
	}
	e.out.add(t)
	return nil
}

// captured returns what f writes.
func (e *evaluator) captured(f func() error) (Text, error) {
	if err := e.pay(8, 0); err != nil {
		return Text{}, err
	}
	outer := e.out
	e.out = &textBuilder{}
	err := f()
	text := e.out.text()
	e.out = outer
	return text, err
}

// print is Print within the budget.
func (e *evaluator) print(v Value) (Text, error) {
	switch v.(type) {
	case Text:
	case *big.Int:
		if err := e.pay(100, maxDigits); err != nil {
			return Text{}, err
		}
	default:
		if err := e.pay(5, 32); err != nil {
			return Text{}, err
		}
	}
	return Print(v)
}

func (e *evaluator) forStatement(s *forStatement) error {
	if err := e.pay(8, 0); err != nil {
		return err
	}
	v, err := e.eval(s.items)
	if err != nil {
		return err
	}
	next, err := e.iterate(v)
	if err != nil {
		return err
	}
	l := &loop{next: next, budget: &e.budget, n: -1, index0: -1}
	if _, isGenerator := v.(*generator); s.condition != nil {
		l.next = e.filtered(s, next)
	} else if !isGenerator {
		if l.n, err = e.length(v); err != nil {
			return err
		}
	}
	// The rounds share a map, as nothing holds on to the frame of one.
	inner := &scope{outer: e.scope}
	// The else belongs to a loop of which no round came to its end.
	finished := false
	for !errors.Is(err, errBreak) {
		item, ok, stepErr := l.step()
		if stepErr != nil {
			return stepErr
		}
		if !ok {
			break
		}
		if len(inner.vars) > 16 {
			inner.vars = nil // a map that was large once is slow to clear
		}
		clear(inner.vars)
		err = e.inScope(inner, s.bodyHidden, func() error {
			if err := e.fill(s.targets, item); err != nil {
				return err
			}
			if err := e.assign("loop", l); err != nil {
				return err
			}
			return e.run(s.body)
		})
		if err != nil && !errors.Is(err, errContinue) && !errors.Is(err, errBreak) {
			return err
		}
		finished = finished || err == nil
	}
	if finished || len(s.otherwise) == 0 {
		return nil
	}
	return e.scoped(s.otherwiseHidden, func() error { return e.run(s.otherwise) })
}

// filtered yields the values for which a loop's condition holds. It is asked when a round begins, as in jinja2.
func (e *evaluator) filtered(s *forStatement, next iterator) iterator {
	outer := e.scope
	return func() (Value, bool, error) {
		for {
			item, ok, err := next()
			if err != nil || !ok {
				return nil, false, err
			}
			current := e.scope
			e.scope = outer
			var kept Value
			err = e.scoped(nil, func() error {
				if err := e.fill(s.targets, item); err != nil {
					return err
				}
				kept, err = e.eval(s.condition)
				return err
			})
			e.scope = current
			if err != nil || truthy(kept) {
				return item, err == nil, err
			}
		}
	}
}

// fill assigns a value to one name, or its parts to several.
func (e *evaluator) fill(targets []string, v Value) error {
	if len(targets) == 1 {
		return e.assign(targets[0], v)
	}
	next, err := e.iterate(v)
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		part, ok, err := next()
		if err != nil {
			return err
		}
		if ok != (i < len(targets)) {
			return fmt.Errorf("%s cannot fill %d variables", kindOf(v), len(targets))
		}
		if !ok {
			return nil
		}
		if err := e.assign(targets[i], part); err != nil {
			return err
		}
	}
}

func (e *evaluator) setStatement(s *setStatement) error {
	v, err := e.eval(s.value)
	if err != nil {
		return err
	}
	if s.attribute == "" {
		return e.fill(s.targets, v)
	}
	target, err := e.lookup(s.targets[0])
	if err != nil {
		return err
	}
	ns, ok := target.(*namespace)
	if !ok {
		return fmt.Errorf("setting %s.%s: %s is not a namespace", s.targets[0], s.attribute, s.targets[0])
	}
	ns.attributes.Set(Literal(s.attribute), v)
	return nil
}
