// Package server is the HTTP face of a model: OpenAI's chat completions, completions and responses, and Anthropic's
// messages, as their official clients speak them.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/glm4-metal/glm4-metal/model"
)

// Options set up a [Server].
type Options struct {
	Load      func(context.Context) (*model.Model, error) // at the first request, and again after KeepAlive
	Model     string                                      // its name in the API
	Pool      model.PoolOptions
	KeepAlive time.Duration // without a request, until the model is unloaded; 0: never
	APIKey    string        // that requests must bring, "" for none
	Origins   []string      // of web pages that may ask, "*" for all
	Hosts     []string      // names, beside this machine's own addresses, that requests may be for
	Log       *slog.Logger  // nil: none
}

// Server answers requests.
type Server struct {
	o      Options
	engine *engine
	mux    *http.ServeMux
}

// New makes a server. Close frees its model.
func New(o Options) *Server {
	s := &Server{o: o, engine: &engine{o: o}, mux: http.NewServeMux()}
	s.routes()
	return s
}

// routes registers all paths; each API has a file of its own.
func (s *Server) routes() {
	// s.handle("POST /v1/chat/completions", openAI, s.chatCompletions)
	// s.handle("POST /v1/responses", openAI, s.responses)
	// s.handle("POST /v1/messages", anthropic, s.messages)
}

// Handler is what answers, with all checks in front.
func (s *Server) Handler() http.Handler { return s.mux }

// Close ends what runs and frees the model.
func (s *Server) Close() error { return nil }

// handler answers a request, or fails before it has written anything: an error is written in the API's shape.
type handler func(w http.ResponseWriter, r *http.Request) error

// dialect is the shape of an API's errors.
type dialect func(*apiError) any

func (s *Server) handle(pattern string, d dialect, h handler) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			s.fail(w, d, err)
		}
	})
}

// fail writes an error.
func (s *Server) fail(w http.ResponseWriter, d dialect, err error) {}

// apiError is an error with what APIs want to know of it.
type apiError struct {
	Status  int    // of HTTP
	Type    string // OpenAI's, such as "invalid_request_error"; Anthropic's follows from the status
	Code    string // such as "context_length_exceeded", "" for none
	Param   string // field that is wrong, "" for none
	Message string
}

func (e *apiError) Error() string { return e.Message }

// badRequest is an error about a field.
func badRequest(param, format string, args ...any) *apiError {
	return &apiError{http.StatusBadRequest, "invalid_request_error", "", param, fmt.Sprintf(format, args...)}
}

// explain makes an error of the library one of the API: a ContextError is 400 context_length_exceeded, a full queue 503.
func explain(err error) *apiError {
	var known *apiError
	if errors.As(err, &known) {
		return known
	}
	return &apiError{http.StatusInternalServerError, "server_error", "", "", err.Error()}
}

// engine holds the model while it is used.
type engine struct{ o Options }

// use gives the model and its pool, loads them if need be, and keeps them until release.
func (e *engine) use(ctx context.Context) (p *model.Pool, m *model.Model, release func(), err error) {
	return nil, nil, func() {}, errors.New("not implemented")
}
