package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/glm4-metal/glm4-metal/model"
)

// dialect is the shape of an API's errors.
type dialect func(*apiError) any

// apiError is an error with what APIs want to know of it.
type apiError struct {
	Status  int    // of HTTP
	Type    string // OpenAI's, such as "invalid_request_error"; Anthropic's follows from the status
	Code    string // such as "context_length_exceeded", "" for none
	Param   string // field that is wrong, "" for none
	Message string
}

func (e *apiError) Error() string { return e.Message }

// OpenAI's types of errors.
const (
	invalidRequest = "invalid_request_error"
	serverError    = "server_error"
)

// statusGone is nginx's status of a request whose client has gone. It is for the log: nobody reads the answer.
const statusGone = 499

var clientGone = &apiError{statusGone, serverError, "cancelled", "", "the client has gone"}

// badRequest is an error about a field.
func badRequest(param, format string, args ...any) *apiError {
	return &apiError{http.StatusBadRequest, invalidRequest, "", param, fmt.Sprintf(format, args...)}
}

// unsupported is the error of a field that cannot be obeyed.
func unsupported(param, format string, args ...any) *apiError {
	e := badRequest(param, format, args...)
	e.Code = "unsupported_value"
	return e
}

// refused is an error about a request as a whole.
func refused(status int, code, format string, args ...any) *apiError {
	return &apiError{status, invalidRequest, code, "", fmt.Sprintf(format, args...)}
}

// unavailable is an error that passes.
func unavailable(code, format string, args ...any) *apiError {
	return &apiError{http.StatusServiceUnavailable, serverError, code, "", fmt.Sprintf(format, args...)}
}

// loadError is the error of a model that could not be loaded.
type loadError struct{ error }

func (e loadError) Unwrap() error { return e.error }

// goneError is the error of writing to a client that has gone, or reads too slowly.
type goneError struct{ error }

func (e goneError) Unwrap() error { return e.error }

// fields are the fields of requests for options, by what [model.OptionError] calls them, where they differ by more than
// an underscore.
var fields = map[string]string{"top-p": "top_p", "top-k": "top_k", "min-p": "min_p", "stop text": "stop"}

// explain makes an error of the library one of the API: a ContextError is 400 context_length_exceeded, a full queue
// 503.
func explain(err error) *apiError {
	var (
		known    *apiError
		length   *model.ContextError
		option   *model.OptionError
		loading  loadError
		gone     goneError
		tooLarge *http.MaxBytesError
	)
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &loading):
		return unavailable("model_not_loaded", "the model could not be loaded: %v", err)
	case errors.As(err, &gone):
		return clientGone
	case errors.As(err, &length):
		e := badRequest("messages", "%v", err)
		e.Code = "context_length_exceeded"
		return e
	case errors.As(err, &option):
		field, ok := fields[option.Option]
		if !ok {
			field = strings.ReplaceAll(option.Option, " ", "_")
		}
		return badRequest(field, "%v", &model.OptionError{Option: field, Value: option.Value, Want: option.Want})
	case errors.As(err, &tooLarge):
		return refused(http.StatusRequestEntityTooLarge, "request_too_large", "the body is larger than %d bytes; shorten it",
			tooLarge.Limit)
	case errors.Is(err, model.ErrQueueFull):
		return unavailable("queue_full", "%v", err)
	case errors.Is(err, model.ErrClosed):
		return unavailable("stopping", "the server stops; try again later")
	case errors.Is(err, context.DeadlineExceeded):
		return &apiError{http.StatusGatewayTimeout, serverError, "timeout", "", "the request has taken longer than it may"}
	case errors.Is(err, context.Canceled):
		return clientGone
	}
	return &apiError{http.StatusInternalServerError, serverError, "", "", err.Error()}
}

// openAI is the shape of OpenAI's errors: https://platform.openai.com/docs/guides/error-codes.
func openAI(e *apiError) any {
	type fields struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Param   *string `json:"param"`
		Code    *string `json:"code"`
	}
	optional := func(text string) *string {
		if text == "" {
			return nil
		}
		return &text
	}
	return struct {
		Error fields `json:"error"`
	}{fields{e.Message, e.Type, optional(e.Param), optional(e.Code)}}
}
