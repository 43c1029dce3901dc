package main

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/glm4-metal/glm4-metal/model"
)

// samplingOption is one way to change how answers are generated. The flags of chat and generate and chat's /set are
// made from the table of them.
type samplingOption struct {
	name   string // of the flag, without dashes, and for /set
	option string // what model.OptionError calls it
	value  string // placeholder of the value in the help, "" for a switch
	usage  string
	// set parses a text. The empty text empties a list.
	set func(o *model.Options, text string) error
	// print writes what is set as set reads it, each of a list with a comma between.
	print    func(o *model.Options) string
	repeated bool // a list, to which each set adds
}

var samplingOptions = []samplingOption{
	integerOption("max-tokens", "max tokens", "N", "end an answer after `N` tokens; 0: when the context is full",
		func(o *model.Options) *int { return &o.MaxTokens }),
	integerOption("max-reasoning", "max reasoning", "N", "reason for at most `N` tokens; 0: no limit, -1: not at all",
		func(o *model.Options) *int { return &o.MaxReasoning }),
	numberOption("temp", "temperature", "T", "sampling temperature `T`; 0: always the likeliest token",
		func(o *model.Options) *float64 { return &o.Temperature }),
	numberOption("top-p", "top-p", "P", "sample from the likeliest tokens that make up probability `P`",
		func(o *model.Options) *float64 { return &o.TopP }),
	integerOption("top-k", "top-k", "K", "sample from the `K` likeliest tokens; 0: from all", func(o *model.Options) *int {
		return &o.TopK
	}),
	numberOption("min-p", "min-p", "P", "sample from tokens at least `P` times as likely as the likeliest; 0: off",
		func(o *model.Options) *float64 { return &o.MinP }),
	{
		name: "seed", value: "N", usage: "the same seed `N` gives the same answer; 0: a random one",
		set: func(o *model.Options, text string) (err error) {
			if o.Seed, err = strconv.ParseUint(text, 10, 64); err != nil {
				return want("a whole number between 0 and 18446744073709551615")
			}
			return nil
		},
		print: func(o *model.Options) string { return strconv.FormatUint(o.Seed, 10) },
	},
	numberOption("repetition-penalty", "repetition penalty", "X", "divide the logits of recent tokens by `X`; 1: off",
		func(o *model.Options) *float64 { return &o.RepetitionPenalty }),
	numberOption("presence-penalty", "presence penalty", "X", "subtract `X` from the logits of recent tokens",
		func(o *model.Options) *float64 { return &o.PresencePenalty }),
	numberOption("frequency-penalty", "frequency penalty", "X", "subtract `X` for each time that a recent token occurred",
		func(o *model.Options) *float64 { return &o.FrequencyPenalty }),
	integerOption("repetition-context-size", "penalty context", "N",
		"recent for the penalties are the last `N` tokens; 0: 20", func(o *model.Options) *int { return &o.PenaltyContext }),
	{
		name: "logit-bias", option: "logit bias", value: "ID=VALUE",
		usage: "add to a token's logit; may be repeated: `ID=VALUE`", repeated: true,
		set: addBias, print: printBias,
	},
	{
		name: "stop", option: "stop text", value: "TEXT", usage: "end an answer before `TEXT`; may be repeated",
		repeated: true,
		set: func(o *model.Options, text string) error {
			if o.Stop = slices.Concat(o.Stop, []string{text}); text == "" {
				o.Stop = nil
			}
			return nil
		},
		print: func(o *model.Options) string {
			var quoted []string
			for _, text := range o.Stop {
				quoted = append(quoted, strconv.Quote(text))
			}
			return strings.Join(quoted, ", ")
		},
	},
	{
		name: "ignore-eos", usage: "go on after the model's own end, for measurements",
		set: func(o *model.Options, text string) (err error) {
			switch text {
			case "on":
				o.IgnoreEOS = true
			case "off":
				o.IgnoreEOS = false
			default:
				if o.IgnoreEOS, err = strconv.ParseBool(text); err != nil {
					return want("on or off")
				}
			}
			return nil
		},
		print: func(o *model.Options) string { return map[bool]string{true: "on", false: "off"}[o.IgnoreEOS] },
	},
}

// want is the error of a text that is not what an option's value must be.
type want string

func (w want) Error() string { return "it must be " + string(w) }

func numberOption(name, option, value, usage string, field func(*model.Options) *float64) samplingOption {
	return samplingOption{
		name: name, option: option, value: value, usage: usage,
		set: func(o *model.Options, text string) error {
			x, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return want("a number")
			}
			*field(o) = x
			return nil
		},
		print: func(o *model.Options) string { return strconv.FormatFloat(*field(o), 'g', -1, 64) },
	}
}

func integerOption(name, option, value, usage string, field func(*model.Options) *int) samplingOption {
	return samplingOption{
		name: name, option: option, value: value, usage: usage,
		set: func(o *model.Options, text string) error {
			n, err := parseInteger(text)
			if err != nil {
				return err
			}
			*field(o) = n
			return nil
		},
		print: func(o *model.Options) string { return strconv.Itoa(*field(o)) },
	}
}

// parseInteger reads a decimal number.
func parseInteger(text string) (int, error) {
	n, err := strconv.ParseInt(text, 10, 32)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, want(fmt.Sprintf("a whole number between %d and %d", math.MinInt32, math.MaxInt32))
	case err != nil:
		return 0, want("a whole number")
	}
	return int(n), nil
}

func addBias(o *model.Options, text string) error {
	if text == "" {
		o.LogitBias = nil
		return nil
	}
	key, value, _ := strings.Cut(text, "=")
	id, err := strconv.ParseInt(strings.TrimSpace(key), 10, 32)
	bias, err2 := strconv.ParseFloat(strings.TrimSpace(value), 32)
	if err != nil || err2 != nil || id < 0 {
		return want("ID=VALUE, such as 42=-1.5 or 42=-inf")
	}
	if o.LogitBias = maps.Clone(o.LogitBias); o.LogitBias == nil {
		o.LogitBias = map[int32]float32{}
	}
	o.LogitBias[int32(id)] = float32(bias)
	return nil
}

func printBias(o *model.Options) string {
	var biases []string
	for _, id := range slices.Sorted(maps.Keys(o.LogitBias)) {
		biases = append(biases, fmt.Sprintf("%d=%v", id, o.LogitBias[id]))
	}
	return strings.Join(biases, ", ")
}

// setOption sets the option of this name, or leaves all as they were and gives a *model.OptionError whose option is the
// name and whose value is the text.
func setOption(o *model.Options, name, text string) error {
	i := slices.IndexFunc(samplingOptions, func(s samplingOption) bool { return s.name == name })
	if i < 0 {
		return fmt.Errorf("there is no option %s", name)
	}
	changed := *o
	err := samplingOptions[i].set(&changed, text)
	if err == nil {
		err = changed.Check()
	}
	var unreadable want
	var wrong *model.OptionError
	switch {
	case errors.As(err, &unreadable):
		return &model.OptionError{Option: name, Value: strconv.Quote(text), Want: string(unreadable)}
	case errors.As(err, &wrong):
		return &model.OptionError{Option: name, Value: text, Want: wrong.Want}
	}
	*o = changed
	return nil
}

// samplingFlags are the flags of the options, whose values stay text until sampling reads them.
func samplingFlags(maxTokens int) []cli.Flag {
	standard := model.Options{MaxTokens: maxTokens, TopP: 1, RepetitionPenalty: 1}
	var flags []cli.Flag
	for _, s := range samplingOptions {
		switch {
		case s.value == "":
			flags = append(flags, &cli.BoolFlag{Name: s.name, Usage: s.usage})
		case s.repeated:
			flags = append(flags, &cli.StringSliceFlag{Name: s.name, Usage: s.usage})
		default:
			flags = append(flags, &cli.StringFlag{Name: s.name, Usage: s.usage, Value: s.print(&standard)})
		}
	}
	return flags
}

// sampling reads the flags of samplingFlags.
func sampling(c *cli.Context) (model.Options, error) {
	var o model.Options
	for _, s := range samplingOptions {
		texts := []string{c.String(s.name)}
		switch {
		case s.value == "":
			texts = []string{strconv.FormatBool(c.Bool(s.name))}
		case s.repeated:
			texts = c.StringSlice(s.name)
		}
		for _, text := range texts {
			if text == "" {
				return o, usagef("%s is empty; give it %s", asTyped(c, s.name), s.value)
			}
			var wrong *model.OptionError
			if err := setOption(&o, s.name, text); errors.As(err, &wrong) {
				wrong.Option = asTyped(c, s.name)
				return o, usageError{wrong}
			}
		}
	}
	return o, nil
}
