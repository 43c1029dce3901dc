package main

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/glm4-metal/glm4-metal/model"
)

// advice is what the libraries advise in words of their own, and the flag that does it here.
var advice = []struct {
	words *regexp.Regexp
	flag  string
}{
	{regexp.MustCompile("a smaller context|raise the limit|a context of -?[0-9]+ tokens"), "--max-kv-size"},
	{regexp.MustCompile("use the CPU"), "--backend cpu"},
	{regexp.MustCompile("nor a file that can be read|or a template file for it|in its place, or a simpler template"), "--chat-template"},
	{regexp.MustCompile("generate from plain text"), "--raw"},
}

// explain adds the flags of the command line to the errors of the libraries, which know none.
func explain(err error) error {
	var option *model.OptionError
	if errors.As(err, &option) {
		i := slices.IndexFunc(samplingOptions, func(s samplingOption) bool { return s.option == option.Option })
		if i >= 0 && strings.Contains(err.Error(), option.Error()) {
			named := model.OptionError{Option: dashed(samplingOptions[i].name), Value: option.Value, Want: option.Want}
			return explained{strings.Replace(err.Error(), option.Error(), named.Error(), 1), err}
		}
	}
	if err == nil {
		return nil
	}
	text := err.Error()
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
