// Package server is the HTTP face of a model: OpenAI's chat completions, completions and responses, and Anthropic's
// messages, as their official clients speak them.
//
// A request passes the checks of checks.go, is read by its API's file, which makes a [model.Request] of it, waits in
// the model's pool, and is answered as JSON or as a stream of events (stream.go). The engine (engine.go) holds the
// model.
package server

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/glm4-metal/glm4-metal/internal/server/page"
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
	Hosts     []string      // names, beside this machine's own addresses, that requests may be for; "*" for all
	Log       *slog.Logger  // nil: none

	Defaults   model.Options // of requests that say nothing else; the zero value is greedy, up to the end of the context
	Timeout    time.Duration // of a request, waiting and all; 0: none
	MaxBody    int64         // bytes of a request; 0: 32 MB
	LogPrompts bool          // log the bodies of requests
}

// Limits of requests.
const (
	defaultMaxBody = 32 << 20
	maxMessages    = 100_000
	maxTools       = 1024
	maxChoices     = 128 // n, as OpenAI has it
)

// Server answers requests.
type Server struct {
	o        Options
	log      *slog.Logger
	engine   *engine
	metrics  *metrics
	stored   responseStore
	mux      *http.ServeMux
	handler  http.Handler
	paths    map[string]dialect // of each path without wildcards, whatever the method
	public   map[string]bool    // patterns that need no API key
	started  time.Time
	stopping atomic.Bool
}

// New makes a server. Close frees its model.
func New(o Options) *Server {
	o.MaxBody = cmp.Or(o.MaxBody, defaultMaxBody)
	s := &Server{o: o, log: o.Log, mux: http.NewServeMux(), paths: map[string]dialect{}, public: map[string]bool{},
		started: time.Now()}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.engine = newEngine(o)
	s.metrics = newMetrics(s.engine)
	s.routes()
	s.handler = s.recorded(s.checked(http.HandlerFunc(s.route)))
	return s
}

// routes registers all paths; each API has a file of its own.
func (s *Server) routes() {
	s.handle("POST /v1/chat/completions", openAI, s.chatCompletions)
	s.handle("POST /v1/completions", openAI, s.completions)
	s.handle("POST /v1/responses", openAI, s.responses)
	s.handle("GET /v1/responses/{id}", openAI, s.getResponse)
	s.handle("DELETE /v1/responses/{id}", openAI, s.deleteResponse)
	s.handle("POST /v1/messages", anthropic, s.messages)
	s.handle("POST /v1/messages/count_tokens", anthropic, s.countTokens)
	s.handle("GET /v1/models", openAI, s.models)
	s.handle("GET /v1/models/{id...}", openAI, s.oneModel)
	s.handle("POST /tokenize", openAI, s.tokenize)
	s.handle("POST /detokenize", openAI, s.detokenize)
	s.handle("GET /metrics", openAI, s.metrics.serve)
	s.handle("GET /health", openAI, s.health)
	s.public["GET /health"] = true
	for _, pattern := range []string{"GET /{$}", "GET /page/{file}"} {
		s.mux.Handle(pattern, page.Handler())
		s.public[pattern] = true
	}
}

// Handler is what answers, with all checks in front.
func (s *Server) Handler() http.Handler { return s.handler }

// Load loads the model before the first request asks for it.
func (s *Server) Load(ctx context.Context) error {
	_, _, release, err := s.engine.use(ctx)
	if err == nil {
		release()
	}
	return err
}

// Close ends what runs and frees the model.
func (s *Server) Close() error {
	s.stopping.Store(true)
	return s.engine.close()
}

// handler answers a request, or fails before it has written anything: an error is written in the API's shape.
type handler func(w http.ResponseWriter, r *http.Request) error

// handle registers a path. A panic in h becomes an error as any other.
func (s *Server) handle(pattern string, d dialect, h handler) {
	_, path, _ := strings.Cut(pattern, " ")
	s.paths[path] = d
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		if s.o.Timeout > 0 {
			ctx, cancel := context.WithTimeout(r.Context(), s.o.Timeout)
			defer cancel()
			r = r.WithContext(ctx)
		}
		if err := h(w, r); err != nil {
			s.fail(w, d, err)
		}
	})
}

// fail writes an error.
func (s *Server) fail(w http.ResponseWriter, d dialect, err error) {
	e := explain(err)
	if v, ok := w.(*record); ok {
		v.failure = e
	}
	if e.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1") // seconds
	}
	writeJSON(w, e.Status, d(e))
}

// dialectOf is the API that a request is for, as far as its path tells.
func (s *Server) dialectOf(r *http.Request) dialect {
	if d, ok := s.paths[r.URL.Path]; ok {
		return d
	}
	if strings.HasPrefix(r.URL.Path, "/v1/messages/") {
		return anthropic
	}
	return openAI
}

// route finds the handler of a request. What net/http would answer in plain text, or redirect, is an error in JSON.
func (s *Server) route(w http.ResponseWriter, r *http.Request) {
	if _, pattern := s.mux.Handler(r); pattern != "" && cleanPath(r) {
		s.mux.ServeHTTP(w, r)
		return
	}
	s.fail(w, s.dialectOf(r), s.notFound(w, r))
}
