package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/glm4-metal/glm4-metal/model"
)

// advice is what the libraries advise in words of their own, and the flag or verb that does it here.
var advice = []struct {
	words *regexp.Regexp
	flag  string
}{
	{regexp.MustCompile("make one from the original"), program + " convert"},
	{regexp.MustCompile("a smaller context|raise the limit"), "--max-kv-size"},
	{regexp.MustCompile("use the CPU"), "--backend cpu"},
	{regexp.MustCompile("nor a file that can be read|or a template file for it|in its place, or a simpler template"),
		"--chat-template"},
	{regexp.MustCompile("generate from plain text"), "--raw"},
}

// otherFlags are those of options that are no samplingOptions, by what model.OptionError calls them.
var otherFlags = map[string]string{
	"context": "max-kv-size", "prefill chunk": "prefill-step-size", "KV bits": "kv-bits", "backend": "backend",
	"top logprobs": "logprobs",
}

// flagOf is the flag that sets an option, "" when none does.
func flagOf(option string) string {
	if i := slices.IndexFunc(samplingOptions, func(s samplingOption) bool { return s.option == option }); i >= 0 {
		return samplingOptions[i].name
	}
	return otherFlags[option]
}

// flagError is a usage error in place of one about an option, with the flag as the user wrote it.
func flagError(c *cli.Context, err error) error {
	var option *model.OptionError
	if errors.As(err, &option) && flagOf(option.Option) != "" {
		return usageError{&model.OptionError{Option: asTyped(c, flagOf(option.Option)), Value: option.Value,
			Want: option.Want}}
	}
	return err
}

// explain adds the flags and verbs of the command line to the errors of the libraries, which know none.
func explain(err error) error {
	var option *model.OptionError
	if errors.As(err, &option) && flagOf(option.Option) != "" && strings.Contains(err.Error(), option.Error()) {
		named := model.OptionError{Option: dashed(flagOf(option.Option)), Value: option.Value, Want: option.Want}
		return explained{strings.Replace(err.Error(), option.Error(), named.Error(), 1), err}
	}
	if err == nil {
		return nil
	}
	text := err.Error()
	var missing *model.NotFoundError
	if errors.As(err, &missing) && missing.Repository != "" {
		what := map[bool]string{true: "the rest", false: "it"}[len(missing.Missing) > 0]
		text = strings.Replace(text, missing.Error(), fmt.Sprintf("%v; to fetch %s: %s pull %s", missing, what, program,
			missing.Name), 1)
	}
	for _, a := range advice {
		if at := a.words.FindStringIndex(text); at != nil && !strings.Contains(text, a.flag) {
			text = text[:at[1]] + " (" + a.flag + ")" + text[at[1]:]
		}
	}
	if text == err.Error() {
		return err
	}
	return explained{text, err}
}

// explained is an error in other words.
type explained struct {
	text string
	error
}

func (e explained) Error() string { return e.text }

func (e explained) Unwrap() error { return e.error }
