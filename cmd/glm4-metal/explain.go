package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/glm4-metal/glm4-metal/model"
)

// advice is what the libraries advise in words of their own, and the flag that does it here.
var advice = []struct{ words, flag string }{
	{"a smaller context", "--max-kv-size"},
	{"raise the limit", "--max-kv-size"},
	{"a context of", "--max-kv-size"},
	{"name a family or a file of a chat template", "--chat-template"},
	{"a family or a file", "--chat-template"},
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
	for _, a := range advice {
		if before, after, ok := strings.Cut(err.Error(), a.words); ok && !strings.Contains(err.Error(), a.flag) {
			return explained{fmt.Sprintf("%s%s (%s)%s", before, a.words, a.flag, after), err}
		}
	}
	return err
}

// explained is an error in other words.
type explained struct {
	text string
	error
}

func (e explained) Error() string { return e.text }

func (e explained) Unwrap() error { return e.error }
