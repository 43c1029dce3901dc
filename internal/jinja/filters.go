package jinja

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

type filterFunction func(e *evaluator, v Value, a *arguments) (Value, error)

// filters is filled by init, as some of them name others.
var filters map[string]filterFunction

func init() {
	filters = map[string]filterFunction{
		"tojson": (*evaluator).toJSON,
		"trim": onText(func(e *evaluator, t Text, a *arguments) (Value, error) {
			return e.strip(t, "chars", a, true, true)
		}),
		"length":     lengthFilter,
		"count":      lengthFilter,
		"first":      first,
		"last":       last,
		"upper":      onText(changeCase(upper)),
		"lower":      onText(changeCase(lower)),
		"capitalize": onText(changeCase(capitalize)),
		"title":      onText(changeCase(title)),
		"string":     onText(func(_ *evaluator, t Text, _ *arguments) (Value, error) { return t, nil }),
		"list": func(e *evaluator, v Value, _ *arguments) (Value, error) {
			items, err := e.list(v)
			return &List{Items: items}, err
		},
		"items":   items,
		"default": orDefault,
		"d":       orDefault,
		"join":    joinFilter,
		"replace": onText(func(e *evaluator, t Text, a *arguments) (Value, error) {
			return e.replace(t, "old", "new", "count", a)
		}),
		"int":        toInt,
		"reverse":    reverse,
		"map":        mapFilter,
		"select":     func(e *evaluator, v Value, a *arguments) (Value, error) { return e.choose(v, a, false, true) },
		"reject":     func(e *evaluator, v Value, a *arguments) (Value, error) { return e.choose(v, a, false, false) },
		"selectattr": func(e *evaluator, v Value, a *arguments) (Value, error) { return e.choose(v, a, true, true) },
		"rejectattr": func(e *evaluator, v Value, a *arguments) (Value, error) { return e.choose(v, a, true, false) },
	}
}

func (e *evaluator) filter(name string, v Value, a *arguments) (Value, error) {
	out, err := filters[name](e, v, a)
	if err == nil {
		err = a.rest()
	}
	if err != nil {
		return nil, wrap(err, "filter", name)
	}
	return out, nil
}

// onText makes a filter that takes what its value prints.
func onText(f func(e *evaluator, t Text, a *arguments) (Value, error)) filterFunction {
	return func(e *evaluator, v Value, a *arguments) (Value, error) {
		t, err := e.print(v)
		if err != nil {
			return nil, err
		}
		return f(e, t, a)
	}
}

func lengthFilter(e *evaluator, v Value, _ *arguments) (Value, error) {
	n, err := e.length(v)
	return int64(n), err
}

func first(e *evaluator, v Value, _ *arguments) (Value, error) {
	next, err := e.iterate(v)
	if err != nil {
		return nil, err
	}
	if item, ok, err := next(); ok || err != nil {
		return item, err
	}
	return undefined{"the first item of nothing"}, nil
}

func last(e *evaluator, v Value, _ *arguments) (Value, error) {
	switch v := v.(type) {
	case Text, *List, *span:
		return e.item(v, int64(-1))
	case *view:
		if n := len(v.of.keys); n > 0 {
			return v.at(n - 1), nil
		}
		return undefined{"the last item of nothing"}, nil
	}
	return nil, fmt.Errorf("the last of %s is not supported", kindOf(v))
}

func items(e *evaluator, v Value, _ *arguments) (Value, error) {
	d, ok := v.(*Dict)
	if !ok {
		return nil, fmt.Errorf("items of %s is not supported", kindOf(v))
	}
	list, err := e.list(&view{d, "items"})
	return &generator{list}, err
}

func orDefault(_ *evaluator, v Value, a *arguments) (Value, error) {
	otherwise, given := a.next("default_value")
	if !given {
		otherwise = Text{}
	}
	falsy, _ := a.next("boolean")
	if _, missing := v.(undefined); missing || truthy(falsy) && !truthy(v) {
		return otherwise, nil
	}
	return v, nil
}

func joinFilter(e *evaluator, v Value, a *arguments) (Value, error) {
	separator, given := a.next("d")
	if !given {
		separator = Text{}
	}
	t, err := e.print(separator)
	if err != nil {
		return nil, err
	}
	return e.joinAll(t, v, e.print)
}

// joinAll joins what text makes of the items of v.
func (e *evaluator) joinAll(separator Text, v Value, text func(Value) (Text, error)) (Value, error) {
	next, err := e.iterate(v)
	if err != nil {
		return nil, err
	}
	var b textBuilder
	for i := 0; ; i++ {
		item, ok, err := next()
		if err != nil {
			return nil, err
		}
		if !ok {
			return b.text(), nil
		}
		t, err := text(item)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			if err := e.payText(separator.size() + 8); err != nil {
				return nil, err
			}
			b.add(separator)
		}
		if err := e.payText(t.size() + 8); err != nil {
			return nil, err
		}
		b.add(t)
	}
}

// The changes of case, for ASCII: start says whether a word begins at c, and first whether the text does.
type letterCase func(c byte, start, first bool) byte

func upper(c byte, _, _ bool) byte {
	if c >= 'a' && c <= 'z' {
		c -= 'a' - 'A'
	}
	return c
}

func lower(c byte, _, _ bool) byte {
	if c >= 'A' && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

func capitalize(c byte, _, first bool) byte {
	if first {
		return upper(c, false, false)
	}
	return lower(c, false, false)
}

func title(c byte, start, _ bool) byte { return capitalize(c, start, start) }

// changeCase refuses letters beyond ASCII that have a case: Python's rules are not Go's.
func changeCase(f letterCase) func(e *evaluator, t Text, _ *arguments) (Value, error) {
	return func(e *evaluator, t Text, _ *arguments) (Value, error) {
		if err := e.pay(len(t.s)/4, len(t.s)); err != nil {
			return nil, err
		}
		for _, r := range t.s {
			if r > unicode.MaxASCII && (unicode.IsLetter(r) && !unicode.Is(unicode.Lo,
				r) || unicode.ToUpper(r) != r || unicode.ToLower(r) != r) {
				return nil, errors.New("upper and lower case of letters beyond ASCII are not supported")
			}
		}
		out := []byte(t.s)
		start := true
		for i, c := range out {
			out[i] = f(c, start, i == 0)
			start = strings.IndexByte("-({[<", c) >= 0
			if r, _ := utf8.DecodeRuneInString(t.s[i:]); isSpace(r) {
				start = true
			}
		}
		t.s = string(out)
		return t, nil
	}
}

// toInt is jinja2's int, for texts that hold a plain number or no digit at all.
func toInt(e *evaluator, v Value, a *arguments) (Value, error) {
	otherwise, given := a.next("default")
	if !given {
		otherwise = int64(0)
	}
	switch v := v.(type) {
	case nil, *List, *Dict:
		return otherwise, nil
	case bool:
		if v {
			return int64(1), nil
		}
		return int64(0), nil
	case int64:
		return v, nil
	case float64:
		if v > -1<<53 && v < 1<<53 {
			return int64(v), nil
		}
	case Text:
		if err := e.payScan(4 * len(v.s)); err != nil {
			return nil, err
		}
		s := Strip(v.s)
		if digits := strings.TrimLeft(s, "+-"); len(s)-len(digits) <= 1 && digits != "" && len(digits) <= 18 &&
			strings.Trim(digits, "0123456789") == "" {
			return strconv.ParseInt(s, 10, 64)
		}
		if len(s) < 1000 && !strings.ContainsFunc(s, unicode.IsNumber) {
			return otherwise, nil
		}
	}
	return nil, fmt.Errorf("int of this %s is not supported", strings.TrimPrefix(kindOf(v), "a "))
}

func reverse(e *evaluator, v Value, _ *arguments) (Value, error) {
	switch v.(type) {
	case Text:
		return e.slice(v, nil, nil, int64(-1))
	case *List:
		reversed, err := e.slice(v, nil, nil, int64(-1))
		if err != nil {
			return nil, err
		}
		return &generator{reversed.(*List).Items}, nil
	}
	return nil, fmt.Errorf("reversing %s is not supported", kindOf(v))
}

// mapFilter takes an attribute, or the name of a filter and its arguments.
func mapFilter(e *evaluator, v Value, a *arguments) (Value, error) {
	var change func(item Value) (Value, error)
	byName := len(a.positional) == 0
	if attribute, _ := a.next("attribute"); byName {
		key, err := attributeName(attribute)
		if err != nil {
			return nil, err
		}
		otherwise, hasDefault := a.next("default")
		change = func(item Value) (Value, error) {
			value, err := e.item(item, key)
			if _, missing := value.(undefined); missing && hasDefault {
				value = otherwise
			}
			return value, err
		}
	} else {
		name, ok := attribute.(Text)
		if !ok || filters[name.s] == nil {
			return nil, errors.New("this use is not supported")
		}
		positional, named := a.positional, a.named
		a.positional, a.named = nil, nil
		change = func(item Value) (Value, error) {
			copied := &arguments{positional: positional, named: map[string]Value{}}
			for key, v := range named {
				copied.named[key] = v
			}
			return e.filter(name.s, item, copied)
		}
	}
	return e.generate(v, func(item Value) (Value, bool, error) {
		changed, err := change(item)
		return changed, true, err
	})
}

// attributeName is an attribute for map or selectattr. One with dots would be a path.
func attributeName(v Value) (Text, error) {
	t, ok := v.(Text)
	if !ok || t.s == "" || strings.Contains(t.s, ".") || isDigit(t.s[0]) {
		return Text{}, fmt.Errorf("an attribute that is %s, or no plain name, is not supported", kindOf(v))
	}
	return t, nil
}

// choose is select, reject, selectattr and rejectattr: a test and its arguments decide on an item or its attribute.
func (e *evaluator) choose(v Value, a *arguments, byAttribute, keep bool) (Value, error) {
	var key Text
	if byAttribute {
		attribute, _ := a.next("")
		var err error
		if key, err = attributeName(attribute); err != nil {
			return nil, err
		}
	}
	holds := func(v Value) (Value, error) { return truthy(v), nil }
	if test, given := a.next(""); given {
		name, ok := test.(Text)
		known, found := tests[name.s]
		if !ok || !found || len(a.positional) != known.arguments {
			return nil, errors.New("this test is not supported here")
		}
		args := a.positional
		a.positional = nil
		holds = func(v Value) (Value, error) { return e.test(name.s, v, args) }
	}
	return e.generate(v, func(item Value) (Value, bool, error) {
		of := item
		if byAttribute {
			var err error
			if of, err = e.item(item, key); err != nil {
				return nil, false, err
			}
		}
		result, err := holds(of)
		return item, truthy(result) == keep, err
	})
}

// generate makes a generator of the items that f keeps, as it changes them.
func (e *evaluator) generate(v Value, f func(item Value) (out Value, keep bool, err error)) (Value, error) {
	next, err := e.iterate(v)
	if err != nil {
		return nil, err
	}
	g := &generator{}
	for {
		item, ok, err := next()
		if err != nil || !ok {
			return g, err
		}
		if err := e.pay(3, 0); err != nil {
			return nil, err
		}
		out, keep, err := f(item)
		if err != nil {
			return nil, err
		}
		if keep {
			if err := e.pay(0, slotBytes); err != nil {
				return nil, err
			}
			g.items = append(g.items, out)
		}
	}
}
