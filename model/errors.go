package model

import (
	"errors"
	"fmt"
)

var (
	// ErrBusy is the error of what cannot be done to a session or a chat while a generation runs in it, also when it is
	// asked for within that generation's loop. End the loop, or cancel its context and wait for its end.
	ErrBusy = errors.New("a generation runs here; end its loop, or cancel its context and wait for its end")

	// ErrClosed is the error of what is used after its Close.
	ErrClosed = errors.New("the model, pool or session is closed")

	// ErrUnsupported is wrapped by the errors of [Load] and [OpenCheckpoint] about a model of another family, and about
	// one that the device cannot run where another device may. It is [errors.ErrUnsupported].
	ErrUnsupported = errors.ErrUnsupported

	errEmptyPrompt = errors.New("the prompt is empty; give it some text")
	errNoTokenizer = errors.New("the checkpoint has no tokenizer; it can only generate from ids")
)

// OptionError says that an option, of a load or a generation, has a value that it cannot have.
type OptionError struct {
	Option string // in words, such as "temperature", "max tokens" and "context"
	Value  any    // a text in quotes
	Want   string // what the value must be
}

func (e *OptionError) Error() string {
	return fmt.Sprintf("%s is %v; it must be %s", e.Option, e.Value, e.Want)
}

// ContextError says that a prompt does not fit into the context.
type ContextError struct {
	Tokens int // of the prompt
	Limit  int // of prompt and answer together, as [MaxContext] sets it
	Max    int // the checkpoint's own limit, beyond which MaxContext cannot go
}

func (e *ContextError) Error() string {
	text := fmt.Sprintf("the prompt has %d tokens, the context holds %d with the answer; shorten it", e.Tokens, e.Limit)
	switch {
	case e.Limit >= e.Max:
		return text + ", as the checkpoint was made for no more"
	case e.Tokens >= e.Max: // there has to be room for an answer
		return text + fmt.Sprintf("; the checkpoint was made for %d", e.Max)
	}
	return text + fmt.Sprintf(" or raise the limit, up to the %d that the checkpoint was made for", e.Max)
}
