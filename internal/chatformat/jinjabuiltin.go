package chatformat

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// arguments are a call's arguments, taken one by one.
type arguments struct {
	positional []any
	keyword    map[string]any
}

// next takes the next argument, by place or by name, if it was given.
func (a *arguments) next(name string) (any, bool) {
	if len(a.positional) > 0 {
		v := a.positional[0]
		a.positional = a.positional[1:]
		return v, true
	}
	v, found := a.keyword[name]
	delete(a.keyword, name)
	return v, found
}

// text takes an argument that must be a string.
func (a *arguments) text(name string) (string, bool, error) {
	v, given := a.next(name)
	if !given {
		return "", false, nil
	}
	s, ok := v.(string)
	if !ok {
		return "", false, fmt.Errorf("argument %s is %s: expected a string", name, kindOf(v))
	}
	return s, true, nil
}

// integer takes an argument that must be an int.
func (a *arguments) integer(name string, otherwise int) (int, error) {
	v, given := a.next(name)
	if !given {
		return otherwise, nil
	}
	n, ok := v.(int64)
	if !ok || n != int64(int32(n)) {
		return 0, fmt.Errorf("argument %s is %s: expected a small int", name, kindOf(v))
	}
	return int(n), nil
}

// rest fails if arguments are left over.
func (a *arguments) rest() error {
	if len(a.positional)+len(a.keyword) > 0 {
		return errors.New("arguments that are not supported")
	}
	return nil
}

// globalNames are the functions that a template may call.
var globalNames = []string{"namespace", "range", "raise_exception", "strftime_now"}

// unsupportedNames exist in jinja2 and not here.
var unsupportedNames = []string{"dict", "lipsum", "cycler", "joiner", "self", "super", "varargs", "kwargs", "caller", "nil"}

const maxRange = 100_000 // as in jinja2's sandbox

func (e *evaluator) global(name string, a *arguments) (any, error) {
	switch name {
	case "namespace":
		ns := &namespace{newObject()}
		for key, v := range a.keyword {
			ns.attributes.set(key, v)
		}
		a.keyword = nil
		return ns, nil
	case "raise_exception":
		message, _, err := a.text("message")
		if err == nil {
			err = fmt.Errorf("the chat template refuses this conversation: %s", message)
		}
		return nil, err
	case "strftime_now":
		format, given, err := a.text("format")
		if err != nil || !given {
			return nil, errors.Join(errors.New("strftime_now needs a format"), err)
		}
		return strftime(e.now(), format)
	}
	var bounds []int
	for len(a.positional) > 0 {
		n, err := a.integer("range", 0)
		if err != nil {
			return nil, err
		}
		bounds = append(bounds, n)
	}
	start, stop, step := 0, 0, 1
	switch len(bounds) {
	case 1:
		stop = bounds[0]
	case 2:
		start, stop = bounds[0], bounds[1]
	case 3:
		start, stop, step = bounds[0], bounds[1], bounds[2]
	}
	if len(bounds) == 0 || len(bounds) > 3 || step == 0 {
		return nil, errors.New("bad arguments of range")
	}
	l := &list{}
	for i := start; step > 0 && i < stop || step < 0 && i > stop; i += step {
		if len(l.items) == maxRange {
			return nil, fmt.Errorf("range of more than %d", maxRange)
		}
		l.items = append(l.items, int64(i))
	}
	return l, nil
}

// strftime knows the directives that do not depend on a locale beyond C's.
func strftime(t time.Time, format string) (string, error) {
	layouts := map[byte]string{
		'Y': "2006", 'm': "01", 'd': "02", 'y': "06", 'H': "15", 'I': "03", 'M': "04", 'S': "05", 'p': "PM", 'b': "Jan", 'B': "January", 'a': "Mon",
		'A': "Monday", 'j': "002", 'F': "2006-01-02", 'T': "15:04:05",
	}
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			b.WriteByte(format[i])
			continue
		}
		i++
		if i < len(format) && format[i] == '%' {
			b.WriteByte('%')
			continue
		}
		if i == len(format) || layouts[format[i]] == "" {
			return "", fmt.Errorf("strftime_now(%q): this directive is not supported", format)
		}
		b.WriteString(t.Format(layouts[format[i]]))
	}
	return b.String(), nil
}

var filters = map[string]func(v any, a *arguments) (any, error){
	"tojson": toJSON,
	"trim": func(v any, a *arguments) (any, error) {
		s, err := printed(v)
		if err != nil {
			return nil, err
		}
		return strip(s, a, true, true)
	},
	"length": func(v any, _ *arguments) (any, error) { n, err := length(v); return int64(n), err },
	"count":  func(v any, _ *arguments) (any, error) { n, err := length(v); return int64(n), err },
	"first":  func(v any, _ *arguments) (any, error) { return end(v, 0) },
	"last":   func(v any, _ *arguments) (any, error) { return end(v, -1) },
	"upper":  func(v any, _ *arguments) (any, error) { return changeCase(v, strings.ToUpper) },
	"lower":  func(v any, _ *arguments) (any, error) { return changeCase(v, strings.ToLower) },
	"string": func(v any, _ *arguments) (any, error) { return printed(v) },
	"list": func(v any, _ *arguments) (any, error) {
		items, err := iterate(v)
		return &list{items}, err
	},
	"items": func(v any, a *arguments) (any, error) {
		if _, ok := v.(*object); !ok {
			return nil, fmt.Errorf("items of %s", kindOf(v))
		}
		return method(v, "items", a)
	},
	"default": orDefault,
	"d":       orDefault,
	"join": func(v any, a *arguments) (any, error) {
		separator, _, err := a.text("d")
		if err != nil {
			return nil, err
		}
		return join(v, separator, printed)
	},
	"replace": func(v any, a *arguments) (any, error) {
		s, ok := v.(string)
		if !ok {
			return nil, fmt.Errorf("replace on %s", kindOf(v))
		}
		return replace(s, a)
	},
}

func toJSON(v any, a *arguments) (any, error) {
	style := dumpStyle{}
	if v, given := a.next("ensure_ascii"); given {
		style.ensureASCII = truthy(v)
	}
	indent, err := a.integer("indent", 0)
	if err != nil {
		return nil, err
	}
	if indent < 0 || indent > 64 {
		return nil, fmt.Errorf("indent %d is not supported", indent)
	}
	style.indent = indent
	if err := checkDumpable(v); err != nil {
		return nil, err
	}
	return dumps(v, style), nil
}

func checkDumpable(v any) error {
	switch v := v.(type) {
	case undefined, *namespace, loop, function:
		return fmt.Errorf("%s is not JSON", kindOf(v))
	case *list:
		for _, item := range v.items {
			if err := checkDumpable(item); err != nil {
				return err
			}
		}
	case *object:
		for _, key := range v.keys {
			if err := checkDumpable(v.values[key]); err != nil {
				return err
			}
		}
	}
	return nil
}

func orDefault(v any, a *arguments) (any, error) {
	otherwise, given := a.next("default_value")
	if !given {
		otherwise = ""
	}
	falsy, _ := a.next("boolean")
	if _, missing := v.(undefined); missing || truthy(falsy) && !truthy(v) {
		return otherwise, nil
	}
	return v, nil
}

func end(v any, at int64) (any, error) {
	switch v.(type) {
	case string, *list:
		return item(v, at)
	}
	return nil, fmt.Errorf("first or last of %s is not supported", kindOf(v))
}

// changeCase leaves letters beyond ASCII alone only by refusing them: Python's case rules are not Go's.
func changeCase(v any, f func(string) string) (any, error) {
	s, err := printed(v)
	if err != nil {
		return nil, err
	}
	if strings.ContainsFunc(s, func(r rune) bool {
		return r > unicode.MaxASCII && unicode.IsLetter(r) && !unicode.Is(unicode.Lo, r) || r > unicode.MaxASCII && f(string(r)) != string(r)
	}) {
		return nil, errors.New("upper and lower case of letters beyond ASCII are not supported")
	}
	return f(s), nil
}

func join(v any, separator string, text func(any) (string, error)) (any, error) {
	items, err := iterate(v)
	if err != nil {
		return nil, err
	}
	parts := make([]string, len(items))
	for i, it := range items {
		if parts[i], err = text(it); err != nil {
			return nil, err
		}
	}
	return strings.Join(parts, separator), nil
}

func replace(s string, a *arguments) (any, error) {
	from, ok1, err1 := a.text("old")
	to, ok2, err2 := a.text("new")
	if err := errors.Join(err1, err2); err != nil || !ok1 || !ok2 {
		return nil, errors.Join(errors.New("replace needs two strings"), err)
	}
	n, err := a.integer("count", -1)
	if from == "" || len(s)/len(from)*len(to) > maxOutput {
		return nil, errors.New("this replacement is not supported")
	}
	return strings.Replace(s, from, to, n), err
}

func strip(s string, a *arguments, left, right bool) (any, error) {
	chars, given, err := a.text("chars")
	if err != nil {
		return nil, err
	}
	in := pySpace
	if given {
		in = func(r rune) bool { return strings.ContainsRune(chars, r) }
	}
	if left {
		s = strings.TrimLeftFunc(s, in)
	}
	if right {
		s = strings.TrimRightFunc(s, in)
	}
	return s, nil
}

// binaryTests are the tests with one argument.
var binaryTests = []string{"eq", "equalto", "ne"}

var tests = map[string]func(v any, args []any) (any, error){
	"defined":   func(v any, _ []any) (any, error) { _, missing := v.(undefined); return !missing, nil },
	"undefined": func(v any, _ []any) (any, error) { _, missing := v.(undefined); return missing, nil },
	"none":      func(v any, _ []any) (any, error) { return v == nil, nil },
	"string":    func(v any, _ []any) (any, error) { _, ok := v.(string); return ok, nil },
	"mapping":   func(v any, _ []any) (any, error) { _, ok := v.(*object); return ok, nil },
	"boolean":   func(v any, _ []any) (any, error) { _, ok := v.(bool); return ok, nil },
	"true":      func(v any, _ []any) (any, error) { return v == true, nil },
	"false":     func(v any, _ []any) (any, error) { return v == false, nil },
	"float":     func(v any, _ []any) (any, error) { _, ok := v.(float64); return ok, nil },
	"integer":   func(v any, _ []any) (any, error) { k := kindOf(v); return k == "an int", nil },
	"number":    func(v any, _ []any) (any, error) { _, ok := number(v); return ok, nil },
	"iterable": func(v any, _ []any) (any, error) {
		_, err := iterate(v)
		return err == nil, nil
	},
	"sequence": func(v any, _ []any) (any, error) {
		if _, missing := v.(undefined); missing {
			return nil, errors.New(`the test "sequence" on something undefined is not supported`)
		}
		_, err := length(v)
		return err == nil, nil
	},
	"odd": func(v any, _ []any) (any, error) {
		n, err := arithmetic("%", v, int64(2))
		return equal(n, int64(1)), err
	},
	"even": func(v any, _ []any) (any, error) {
		n, err := arithmetic("%", v, int64(2))
		return equal(n, int64(0)), err
	},
	"eq":      func(v any, args []any) (any, error) { return equal(v, args[0]), nil },
	"equalto": func(v any, args []any) (any, error) { return equal(v, args[0]), nil },
	"ne":      func(v any, args []any) (any, error) { return !equal(v, args[0]), nil },
}

// dictAttributes are what jinja2 finds on a dict before it looks for a key of that name.
var dictAttributes = map[string]bool{
	"clear": true, "copy": true, "fromkeys": true, "get": true, "items": true, "keys": true, "pop": true, "popitem": true, "setdefault": true,
	"update": true, "values": true,
}

var methodNames = []string{
	"strip", "lstrip", "rstrip", "split", "startswith", "endswith", "replace", "find", "join", "upper", "lower", "get", "items", "keys", "values",
}

func method(self any, name string, a *arguments) (any, error) {
	switch self := self.(type) {
	case string:
		return stringMethod(self, name, a)
	case *object:
		return dictMethod(self, name, a)
	}
	return nil, fmt.Errorf("%s has none", kindOf(self))
}

func dictMethod(self *object, name string, a *arguments) (any, error) {
	l := &list{}
	switch name {
	case "get":
		key, _, err := a.text("key")
		otherwise, given := a.next("default")
		if v, found := self.lookup(key); found || err != nil {
			return v, err
		}
		if !given {
			return nil, nil
		}
		return otherwise, nil
	case "items":
		for _, key := range self.keys {
			l.items = append(l.items, &list{[]any{key, self.values[key]}})
		}
	case "keys":
		for _, key := range self.keys {
			l.items = append(l.items, key)
		}
	case "values":
		for _, key := range self.keys {
			l.items = append(l.items, self.values[key])
		}
	default:
		return nil, errors.New("a dict has none")
	}
	return l, nil
}

func stringMethod(self, name string, a *arguments) (any, error) {
	switch name {
	case "strip":
		return strip(self, a, true, true)
	case "lstrip":
		return strip(self, a, true, false)
	case "rstrip":
		return strip(self, a, false, true)
	case "upper":
		return changeCase(self, strings.ToUpper)
	case "lower":
		return changeCase(self, strings.ToLower)
	case "replace":
		return replace(self, a)
	case "split":
		return split(self, a)
	case "join":
		items, _ := a.next("iterable")
		return join(items, self, func(v any) (string, error) {
			s, ok := v.(string)
			if !ok {
				return "", fmt.Errorf("%s among the strings", kindOf(v))
			}
			return s, nil
		})
	case "startswith", "endswith", "find":
		s, given, err := a.text("text")
		if err != nil || !given {
			return nil, errors.Join(errors.New("a string is needed"), err)
		}
		switch name {
		case "startswith":
			return strings.HasPrefix(self, s), nil
		case "endswith":
			return strings.HasSuffix(self, s), nil
		}
		before, _, found := strings.Cut(self, s)
		if !found {
			return int64(-1), nil
		}
		n, err := length(before)
		return int64(n), err
	}
	return nil, errors.New("a string has none")
}

func split(s string, a *arguments) (any, error) {
	separator, given, err := a.text("sep")
	if err != nil {
		return nil, err
	}
	limit, err := a.integer("maxsplit", -1)
	if err != nil {
		return nil, err
	}
	var parts []string
	switch {
	case !given && limit < 0:
		parts = strings.FieldsFunc(s, pySpace)
	case separator == "":
		return nil, errors.New("split by " + strconv.Quote(separator) + " is not supported")
	case limit < 0:
		parts = strings.Split(s, separator)
	default:
		parts = strings.SplitN(s, separator, limit+1)
	}
	l := &list{}
	for _, part := range parts {
		l.items = append(l.items, part)
	}
	return l, nil
}
