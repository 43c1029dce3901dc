package jinja

import (
	"errors"
	"fmt"
	"strings"
)

var methodNames = []string{
	"strip", "lstrip", "rstrip", "split", "startswith", "endswith", "replace", "find", "join", "upper", "lower",
	"capitalize", "get", "items", "keys",
	"values", "cycle",
}

func (e *evaluator) method(self Value, name string, a *arguments) (Value, error) {
	switch self := self.(type) {
	case Text:
		return e.textMethod(self, name, a)
	case *Dict:
		return e.dictMethod(self, name, a)
	case *loop:
		if name == "cycle" && len(a.positional) > 0 {
			v := a.positional[self.index0%len(a.positional)]
			a.positional = nil
			return v, nil
		}
	}
	return nil, fmt.Errorf("%s has none", kindOf(self))
}

func (e *evaluator) dictMethod(self *Dict, name string, a *arguments) (Value, error) {
	switch name {
	case "get":
		key, err := a.needText("")
		if err != nil {
			return nil, err
		}
		otherwise, _ := a.next("")
		if err := e.payScan(len(key.s)); err != nil {
			return nil, err
		}
		if v, found := self.Lookup(key.s); found {
			return v, nil
		}
		return otherwise, nil
	case "items", "keys", "values":
		return &view{self, name}, nil
	}
	return nil, errors.New("a dict has none")
}

func (e *evaluator) textMethod(self Text, name string, a *arguments) (Value, error) {
	switch name {
	case "strip":
		return e.strip(self, "", a, true, true)
	case "lstrip":
		return e.strip(self, "", a, true, false)
	case "rstrip":
		return e.strip(self, "", a, false, true)
	case "upper":
		return changeCase(upper)(e, self, a)
	case "lower":
		return changeCase(lower)(e, self, a)
	case "capitalize":
		return changeCase(capitalize)(e, self, a)
	case "replace":
		return e.replace(self, "", "", "", a)
	case "split":
		return e.split(self, a)
	case "join":
		items, given := a.next("")
		if !given {
			return nil, errors.New("something to join is needed")
		}
		return e.joinAll(self, items, func(v Value) (Text, error) {
			t, ok := v.(Text)
			if !ok {
				return Text{}, fmt.Errorf("%s among the strings", kindOf(v))
			}
			return t, nil
		})
	case "startswith", "endswith", "find":
		t, err := a.needText("")
		if err != nil {
			return nil, err
		}
		if name == "find" {
			at, err := e.find(self.s, t.s)
			if err != nil || at < 0 {
				return int64(-1), err
			}
			n, err := e.length(self.slice(0, at))
			return int64(n), err
		}
		if err := e.payScan(len(t.s)); err != nil {
			return nil, err
		}
		if name == "startswith" {
			return strings.HasPrefix(self.s, t.s), nil
		}
		return strings.HasSuffix(self.s, t.s), nil
	}
	return nil, errors.New("a string has none")
}

// strip takes an argument of the given name: the characters to strip.
func (e *evaluator) strip(t Text, name string, a *arguments, left, right bool) (Value, error) {
	chars, given, err := a.text(name)
	if err != nil {
		return nil, err
	}
	in := isSpace
	if given {
		if err := e.pay(1+len(chars.s), 8*len(chars.s)); err != nil {
			return nil, err
		}
		set := map[rune]bool{}
		for _, r := range chars.s {
			set[r] = true
		}
		in = func(r rune) bool { return set[r] }
	}
	if err := e.pay(1+len(t.s)/4, 0); err != nil {
		return nil, err
	}
	from, to := 0, len(t.s)
	if left {
		from = len(t.s) - len(strings.TrimLeftFunc(t.s, in))
	}
	if right {
		to = from + len(strings.TrimRightFunc(t.s[from:], in))
	}
	return t.slice(from, to), nil
}

func (e *evaluator) replace(t Text, oldName, newName, countName string, a *arguments) (Value, error) {
	from, err := a.needText(oldName)
	if err != nil {
		return nil, err
	}
	to, err := a.needText(newName)
	if err != nil {
		return nil, err
	}
	n, err := a.integer(countName, -1)
	if err != nil {
		return nil, err
	}
	if from.s == "" {
		return nil, errors.New("replacing nothing is not supported")
	}
	f, err := e.newFinder(from.s)
	if err != nil {
		return nil, err
	}
	var b textBuilder
	add := func(part Text) error {
		if err := e.payText(part.size() + 8); err != nil {
			return err
		}
		b.add(part)
		return nil
	}
	at := 0
	for ; n != 0; n-- {
		found, err := f.next(t.s[at:])
		if err != nil {
			return nil, err
		}
		if found < 0 {
			break
		}
		if err := add(t.slice(at, at+found)); err != nil {
			return nil, err
		}
		if err := add(to); err != nil {
			return nil, err
		}
		at += found + len(from.s)
	}
	if at == 0 {
		return t, nil
	}
	if err := add(t.slice(at, len(t.s))); err != nil {
		return nil, err
	}
	return b.text(), nil
}

func (e *evaluator) split(t Text, a *arguments) (Value, error) {
	separator, given, err := a.text("sep")
	if err != nil {
		return nil, err
	}
	limit, err := a.integer("maxsplit", -1)
	if err != nil {
		return nil, err
	}
	l := &List{}
	if !given {
		return l, e.fields(t, limit, l)
	}
	if separator.s == "" {
		return nil, errors.New(`split by "" is not supported`)
	}
	f, err := e.newFinder(separator.s)
	if err != nil {
		return nil, err
	}
	at := 0
	for ; limit != 0; limit-- {
		found, err := f.next(t.s[at:])
		if err != nil {
			return nil, err
		}
		if found < 0 {
			break
		}
		if err := e.pay(1, slotBytes); err != nil {
			return nil, err
		}
		l.Items = append(l.Items, t.slice(at, at+found))
		at += found + len(separator.s)
	}
	l.Items = append(l.Items, t.slice(at, len(t.s)))
	return l, nil
}

// fields splits by white space, as Python's split does without separator.
func (e *evaluator) fields(t Text, limit int, l *List) error {
	if err := e.pay(1+len(t.s)/4, 0); err != nil {
		return err
	}
	notSpace := func(r rune) bool { return !isSpace(r) }
	for at := 0; ; limit-- {
		next := strings.IndexFunc(t.s[at:], notSpace)
		if next < 0 {
			return nil
		}
		at += next
		end := strings.IndexFunc(t.s[at:], isSpace)
		if end < 0 || limit == 0 {
			end = len(t.s) - at
		}
		if err := e.pay(1, slotBytes); err != nil {
			return err
		}
		l.Items = append(l.Items, t.slice(at, at+end))
		at += end
	}
}
