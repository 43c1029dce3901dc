package jinja

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The grammar is that of jinja2's parser.py, one method a level, from what binds loosest on.

// tuple reads an expression, or several with commas between. Without withChoice they may not be "a if b".
func (p *parser) tuple(withChoice bool) (expression, error) {
	one := p.or
	if withChoice {
		one = p.expression
	}
	first, err := one()
	if err != nil || !p.peek(0).is(",") {
		return first, err
	}
	items := []expression{first}
	for p.skip(",") {
		if t := p.peek(0); t.kind == endToken || t.is(")") {
			break
		}
		item, err := one()
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return tupleDisplay{items}, nil
}

func (p *parser) expression() (expression, error) {
	if err := p.deeper(); err != nil {
		return nil, err
	}
	defer p.shallower()
	value, err := p.or()
	for err == nil && p.skip("if") {
		var condition, otherwise expression
		if condition, err = p.or(); err != nil {
			return nil, err
		}
		if p.skip("else") {
			if otherwise, err = p.expression(); err != nil {
				return nil, err
			}
		}
		value = choice{value, condition, otherwise}
	}
	return value, err
}

// deeper bounds the parser's recursion.
func (p *parser) deeper() error {
	if p.depth++; p.depth > 3*maxNesting {
		return fmt.Errorf("expressions nested too deeply")
	}
	return nil
}

func (p *parser) shallower() { p.depth-- }

func (p *parser) or() (expression, error) {
	left, err := p.and()
	for err == nil && p.skip("or") {
		var right expression
		right, err = p.and()
		left = logic{true, left, right}
	}
	return left, err
}

func (p *parser) and() (expression, error) {
	left, err := p.not()
	for err == nil && p.skip("and") {
		var right expression
		right, err = p.not()
		left = logic{false, left, right}
	}
	return left, err
}

func (p *parser) not() (expression, error) {
	if !p.skip("not") {
		return p.comparison()
	}
	if err := p.deeper(); err != nil {
		return nil, err
	}
	defer p.shallower()
	of, err := p.not()
	return negation{of}, err
}

var comparisonOperators = []string{"==", "!=", "<", "<=", ">", ">=", "in"}

func (p *parser) comparison() (expression, error) {
	first, err := p.sum()
	if err != nil {
		return nil, err
	}
	c := comparison{first: first}
	for {
		t := p.peek(0)
		op := t.text
		switch {
		case t.kind != stringToken && slices.Contains(comparisonOperators, op):
			p.at++
		case t.is("not") && p.peek(1).is("in"):
			op = "not in"
			p.at += 2
		case len(c.ops) == 0:
			return first, nil
		default:
			return c, nil
		}
		right, err := p.sum()
		if err != nil {
			return nil, err
		}
		c.ops, c.rest = append(c.ops, op), append(c.rest, right)
	}
}

func (p *parser) sum() (expression, error) {
	return p.leftToRight(p.concatenation, "+", "-")
}

func (p *parser) leftToRight(operand func() (expression, error), ops ...string) (expression, error) {
	left, err := operand()
	for err == nil && p.peek(0).kind == operatorToken && slices.Contains(ops, p.peek(0).text) {
		op := p.take().text
		var right expression
		right, err = operand()
		left = arithmetic{op, left, right}
	}
	return left, err
}

func (p *parser) concatenation() (expression, error) {
	first, err := p.product()
	if err != nil || !p.peek(0).is("~") {
		return first, err
	}
	parts := []expression{first}
	for p.skip("~") {
		part, err := p.product()
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	return concatenation{parts}, nil
}

func (p *parser) product() (expression, error) {
	e, err := p.leftToRight(func() (expression, error) { return p.unary(true) }, "*", "/", "//", "%")
	if err == nil && p.peek(0).is("**") {
		err = fmt.Errorf(`the operator "**" is not supported`)
	}
	return e, err
}

func (p *parser) unary(withFilters bool) (e expression, err error) {
	if t := p.peek(0); t.is("-") || t.is("+") {
		p.at++
		if err := p.deeper(); err != nil {
			return nil, err
		}
		defer p.shallower()
		if e, err = p.unary(false); err != nil {
			return nil, err
		}
		e = sign{t.text, e}
	} else if e, err = p.primary(); err != nil {
		return nil, err
	}
	if e, err = p.postfix(e); err != nil || !withFilters {
		return e, err
	}
	return p.filtersAndTests(e)
}

// keywords cannot be names here, though some could in jinja2.
var keywords = map[string]bool{"and": true, "or": true, "not": true, "in": true, "is": true, "if": true, "else": true,
	"elif": true, "recursive": true}

func (p *parser) primary() (expression, error) {
	switch t := p.take(); t.kind {
	case nameToken:
		switch {
		case t.text == "true" || t.text == "True":
			return constant{true}, nil
		case t.text == "false" || t.text == "False":
			return constant{false}, nil
		case t.text == "none" || t.text == "None":
			return constant{nil}, nil
		case slices.Contains(unsupportedNames, t.text) || keywords[t.text]:
			return nil, fmt.Errorf("the name %q is not supported", t.text)
		}
		return variable{t.text}, nil
	case stringToken:
		text := t.text
		if p.peek(0).kind == stringToken {
			var b strings.Builder
			for b.WriteString(text); p.peek(0).kind == stringToken; {
				b.WriteString(p.take().text)
			}
			text = b.String()
		}
		return constant{Literal(text)}, nil
	case integerToken:
		n, err := strconv.ParseInt(t.text, 10, 64)
		return constant{n}, err
	case floatToken:
		f, err := strconv.ParseFloat(t.text, 64)
		return constant{f}, err
	case operatorToken:
		switch t.text {
		case "(":
			if p.skip(")") {
				return tupleDisplay{}, nil
			}
			e, err := p.tuple(true)
			if err == nil {
				err = p.expect(")")
			}
			return e, err
		case "[":
			items, err := p.items("]")
			return listDisplay{items}, err
		case "{":
			return p.dict()
		}
		return nil, fmt.Errorf("unexpected %s", t)
	default:
		return nil, fmt.Errorf("expected an expression, found %s", t)
	}
}

// items reads expressions with commas between, up to a closing bracket.
func (p *parser) items(end string) ([]expression, error) {
	var items []expression
	for !p.skip(end) {
		if len(items) > 0 {
			if err := p.expect(","); err != nil {
				return nil, err
			}
			if p.skip(end) {
				break
			}
		}
		item, err := p.expression()
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return items, nil
}

func (p *parser) dict() (expression, error) {
	var d dictDisplay
	for !p.skip("}") {
		if len(d.keys) > 0 {
			if err := p.expect(","); err != nil {
				return nil, err
			}
			if p.skip("}") {
				break
			}
		}
		key, err := p.expression()
		if err != nil {
			return nil, err
		}
		if err := p.expect(":"); err != nil {
			return nil, err
		}
		value, err := p.expression()
		if err != nil {
			return nil, err
		}
		d.keys, d.values = append(d.keys, key), append(d.values, value)
	}
	return d, nil
}

func (p *parser) postfix(e expression) (expression, error) {
	for {
		var err error
		switch {
		case p.skip("."):
			e, err = p.attribute(e)
		case p.skip("["):
			e, err = p.subscript(e)
		case p.peek(0).is("("):
			e, err = p.call(e)
		default:
			return e, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func (p *parser) attribute(of expression) (expression, error) {
	t := p.take()
	switch {
	case t.kind == integerToken:
		n, err := strconv.ParseInt(t.text, 10, 64)
		return getItem{of, constant{n}}, err
	case t.kind != nameToken || strings.HasPrefix(t.text, "_"):
		return nil, fmt.Errorf("the attribute %s is not supported", t)
	}
	return getAttribute{of, t.text}, nil
}

func (p *parser) subscript(of expression) (expression, error) {
	var bounds [3]expression
	colons := 0
	for !p.skip("]") {
		switch {
		case p.skip(":") && colons < 2:
			colons++
		case bounds[colons] == nil && !p.peek(0).is(":"):
			var err error
			if bounds[colons], err = p.expression(); err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("unexpected %s in a subscript", p.peek(0))
		}
	}
	if colons > 0 {
		return getSlice{of, bounds[0], bounds[1], bounds[2]}, nil
	}
	if bounds[0] == nil {
		return nil, fmt.Errorf("a subscript is empty")
	}
	return getItem{of, bounds[0]}, nil
}

// call reads a call of a function or a method that is known.
func (p *parser) call(function expression) (expression, error) {
	switch f := function.(type) {
	case variable:
	case getAttribute:
		if !slices.Contains(methodNames, f.name) {
			return nil, fmt.Errorf("the method %q is not supported", f.name)
		}
	default:
		return nil, fmt.Errorf("this call is not supported")
	}
	args, err := p.arguments()
	return call{function, args}, err
}

func (p *parser) arguments() (callArguments, error) {
	var a callArguments
	if err := p.expect("("); err != nil {
		return a, err
	}
	for first := true; !p.skip(")"); first = false {
		if !first {
			if err := p.expect(","); err != nil {
				return a, err
			}
			if p.skip(")") {
				break
			}
		}
		if t := p.peek(0); t.kind == nameToken && p.peek(1).is("=") {
			if slices.Contains(a.names, t.text) || keywords[t.text] {
				return a, fmt.Errorf("unexpected argument %s", t)
			}
			p.at += 2
			value, err := p.expression()
			if err != nil {
				return a, err
			}
			a.names, a.named = append(a.names, t.text), append(a.named, value)
			continue
		}
		if len(a.names) > 0 {
			return a, fmt.Errorf("an argument without a name behind one with")
		}
		value, err := p.expression()
		if err != nil {
			return a, err
		}
		a.positional = append(a.positional, value)
	}
	return a, nil
}

func (p *parser) filtersAndTests(e expression) (expression, error) {
	for {
		var err error
		switch {
		case p.skip("|"):
			e, err = p.filter(e)
		case p.skip("is"):
			e, err = p.test(e)
		case p.peek(0).is("("):
			err = fmt.Errorf("this call is not supported")
		default:
			return e, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func (p *parser) filter(of expression) (expression, error) {
	t := p.take()
	if t.kind != nameToken || filters[t.text] == nil {
		return nil, fmt.Errorf("the filter %s is not supported", t)
	}
	f := filterUse{of: of, name: t.text}
	var err error
	if p.peek(0).is("(") {
		f.args, err = p.arguments()
	}
	return f, err
}

func (p *parser) test(of expression) (expression, error) {
	negated := p.skip("not")
	t := p.take()
	want, found := tests[t.text]
	if t.kind != nameToken || !found {
		return nil, fmt.Errorf("the test %s is not supported", t)
	}
	u := testUse{of: of, name: t.text}
	var err error
	switch next := p.peek(0); {
	case next.is("("):
		u.args, err = p.arguments()
	case next.is("is"):
		err = fmt.Errorf(`tests cannot be chained with "is"`)
	case next.is("else") || next.is("or") || next.is("and"):
	case next.is("[") || next.is("{") || next.kind != operatorToken && next.kind != endToken:
		var arg expression
		if arg, err = p.primary(); err == nil {
			arg, err = p.postfix(arg)
		}
		u.args.positional = []expression{arg}
	}
	if err == nil && (len(u.args.names) > 0 || len(u.args.positional) != want.arguments) {
		err = fmt.Errorf("the test %q with %d arguments is not supported", t.text, len(u.args.positional)+len(u.args.names))
	}
	if negated {
		return negation{u}, err
	}
	return u, err
}
