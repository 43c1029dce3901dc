package jinja

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// globalNames are the functions that a template may call.
var globalNames = []string{"namespace", "range", "raise_exception", "strftime_now"}

// unsupportedNames exist in jinja2 and not here.
var unsupportedNames = []string{"dict", "lipsum", "cycler", "joiner", "self", "super", "varargs", "kwargs", "caller"}

const maxRange = 100_000 // as in jinja2's sandbox

func (e *evaluator) global(name string, a *arguments) (Value, error) {
	switch name {
	case "namespace":
		return e.namespace(a)
	case "raise_exception":
		message, err := a.needText("message")
		if err == nil {
			err = fmt.Errorf("the chat template refuses this conversation: %.500s", message.s)
		}
		return nil, err
	case "strftime_now":
		format, err := a.needText("format")
		if err != nil {
			return nil, err
		}
		return e.strftime(format.s)
	}
	var bounds []int
	for len(a.positional) > 0 {
		n, err := a.integer("", 0)
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
	n := 0
	switch {
	case step > 0 && start < stop:
		n = (stop-start-1)/step + 1
	case step < 0 && start > stop:
		n = (start-stop-1)/-step + 1
	}
	if n > maxRange {
		return nil, fmt.Errorf("range of more than %d", maxRange)
	}
	return &span{int64(start), int64(step), int64(n)}, nil
}

// namespace takes dicts, and attributes by name.
func (e *evaluator) namespace(a *arguments) (Value, error) {
	if err := e.pay(10, (1+len(a.named))*entryBytes); err != nil {
		return nil, err
	}
	ns := &namespace{NewDict()}
	if v, given := a.next(""); given {
		d, ok := v.(*Dict)
		if !ok {
			return nil, fmt.Errorf("namespace of %s is not supported", kindOf(v))
		}
		if err := e.pay(d.Len(), d.Len()*entryBytes); err != nil {
			return nil, err
		}
		for i, key := range d.keys {
			if err := e.payScan(len(key.s)); err != nil {
				return nil, err
			}
			ns.attributes.Set(key, d.values[i])
		}
	}
	for key, v := range a.named {
		ns.attributes.Set(Literal(key), v)
	}
	a.named = nil
	for _, key := range ns.attributes.keys {
		if strings.HasPrefix(key.s, "_") {
			return nil, fmt.Errorf("the attribute %.40q of a namespace is not supported", key.s)
		}
	}
	return ns, nil
}

// strftime knows the directives that do not depend on a locale beyond C's.
func (e *evaluator) strftime(format string) (Value, error) {
	if err := e.pay(4*len(format), 16*len(format)); err != nil {
		return nil, err
	}
	now := e.now()
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
		if i == len(format) || timeLayouts[format[i]] == "" {
			return nil, fmt.Errorf("strftime_now(%.40q): this directive is not supported", format)
		}
		b.WriteString(now.Format(timeLayouts[format[i]]))
	}
	return Data(b.String()), nil
}

var timeLayouts = map[byte]string{
	'Y': "2006", 'm': "01", 'd': "02", 'y': "06", 'H': "15", 'I': "03", 'M': "04", 'S': "05", 'p': "PM", 'b': "Jan",
	'B': "January", 'a': "Mon",
	'A': "Monday", 'j': "002", 'F': "2006-01-02", 'T': time.TimeOnly,
}
