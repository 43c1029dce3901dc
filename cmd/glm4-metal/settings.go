package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/glm4-metal/glm4-metal/internal/nearest"
	"github.com/glm4-metal/glm4-metal/model"
)

// setting is what /set shows and changes: the options of sampling, and how an answer is written.
type setting struct {
	name, usage string
	print       func() string
	set         func(text string) error
	values      []string // that it can have, nil when there are too many
}

func (r *repl) settings() []setting {
	settings := []setting{
		{
			name: "reasoning", usage: "show the model's reasoning, hide it, or off: have none",
			print: func() string { return r.style.reasoning }, set: r.setReasoning,
			values: []string{reasoningShow, reasoningHide, reasoningOff},
		},
		{
			name: "wrap", usage: "break the lines of an answer between words",
			print:  func() string { return onOff(!r.style.noWrap) },
			set:    func(text string) error { return setSwitch("wrap", text, func(on bool) { r.style.noWrap = !on }) },
			values: []string{"on", "off"},
		},
	}
	for _, s := range samplingOptions {
		option := setting{name: s.name, usage: strings.ReplaceAll(s.usage, "`", "")}
		option.print = func() string {
			o := r.chat.Options()
			return s.print(&o)
		}
		option.set = func(text string) error {
			o := r.chat.Options()
			err := setOption(&o, s.name, text)
			if err == nil {
				r.chat.SetOptions(o)
			}
			return err
		}
		if s.value == "" {
			option.values = []string{"on", "off"}
		}
		settings = append(settings, option)
	}
	return settings
}

func onOff(on bool) string { return map[bool]string{true: "on", false: "off"}[on] }

func setSwitch(name, text string, set func(on bool)) error {
	if text != "on" && text != "off" {
		return fmt.Errorf("%s is %q; it must be on or off", name, text)
	}
	set(text == "on")
	return nil
}

func (r *repl) setReasoning(how string) error {
	if err := checkReasoning(how); err != nil {
		return fmt.Errorf("reasoning %w", err)
	}
	r.style.reasoning = how
	return nil
}

// set is /set. A value of "" empties a list.
func (r *repl) set(_ context.Context, argument string) error {
	name, value, changes := strings.Cut(argument, " ")
	value = strings.TrimSpace(value)
	name = strings.ReplaceAll(strings.TrimLeft(name, "-"), "_", "-")
	settings := r.settings()
	if name == "" {
		for _, s := range settings {
			const column = 34 // of what a setting means
			usage := strings.Join(wrap(s.usage, helpWidth-column), "\n"+strings.Repeat(" ", column))
			fmt.Fprintf(os.Stderr, "%-24s %-8s %s\n", s.name, visibleLine(shown(s)), usage)
		}
		return nil
	}
	var names []string
	for _, s := range settings {
		names = append(names, s.name)
	}
	at := slices.Index(names, name)
	if at < 0 {
		meant := ""
		if near := nearest.Name(strings.ToLower(name), names); near != "" {
			meant = "did you mean " + near + "? "
		}
		return fmt.Errorf("there is no setting %s; %s/set lists them", name, meant)
	}
	s := settings[at]
	if !changes {
		r.confirm("%s is %s: %s", s.name, shown(s), s.usage)
		return nil
	}
	if value == nothing {
		value = ""
	}
	if err := s.set(value); err != nil {
		var wrong *model.OptionError
		if errors.As(err, &wrong) && value == "" {
			return fmt.Errorf("%s has no empty value; it must be %s", s.name, wrong.Want)
		}
		return err
	}
	r.confirm("%s is %s now", s.name, shown(s))
	return nil
}

// shown is a setting's value for people.
func shown(s setting) string {
	if value := s.print(); value != "" {
		return value
	}
	return "empty"
}
