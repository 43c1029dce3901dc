package server

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/glm4-metal/glm4-metal/model"
)

// record is a ResponseWriter that keeps what the log and the metrics say of a request.
type record struct {
	http.ResponseWriter
	id      string
	status  int // 0 while nothing is written
	failure *apiError
	results []model.Result
}

type recordKey struct{}

func recordOf(r *http.Request) *record {
	v, _ := r.Context().Value(recordKey{}).(*record)
	return v
}

// requestID is the id that the request has in the log, and its answer in the header X-Request-Id.
func requestID(r *http.Request) string {
	if v := recordOf(r); v != nil {
		return v.id
	}
	return ""
}

// note keeps what an answer took, for the log and the metrics. It is called in the goroutine of the handler.
func note(r *http.Request, result model.Result) {
	if v := recordOf(r); v != nil {
		v.results = append(v.results, result)
	}
}

// noteFailure keeps the error of a stream that has begun. fail keeps the others.
func noteFailure(r *http.Request, e *apiError) {
	if v := recordOf(r); v != nil {
		v.failure = e
	}
}

func (v *record) WriteHeader(status int) {
	if v.status == 0 {
		v.status = status
	}
	v.ResponseWriter.WriteHeader(status)
}

func (v *record) Write(data []byte) (int, error) {
	if v.status == 0 {
		v.status = http.StatusOK
	}
	return v.ResponseWriter.Write(data)
}

// Unwrap is for http.ResponseController.
func (v *record) Unwrap() http.ResponseWriter { return v.ResponseWriter }

// recorded gives each request an id, a line in the log and its place in the metrics, and keeps a panic from ending the
// server.
func (s *Server) recorded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		v := &record{ResponseWriter: w, id: newID("req_")}
		w.Header().Set("X-Request-Id", v.id)
		r = r.WithContext(context.WithValue(r.Context(), recordKey{}, v))
		defer func() {
			p, begun := recover(), v.status != 0
			if p != nil {
				s.log.ErrorContext(r.Context(), "panic", "id", v.id, "error", fmt.Sprint(p), "stack", string(debug.Stack()))
				if !begun {
					s.fail(v, s.dialectOf(r), &apiError{http.StatusInternalServerError, serverError, "", "",
						"an internal error; the server's log has more under " + v.id})
				}
			}
			s.finish(r, v, time.Since(start))
			if p != nil && begun {
				panic(http.ErrAbortHandler) // ends the connection: what was written may be half of something
			}
		}()
		next.ServeHTTP(v, r)
	})
}

// finish writes a request's line of the log. It has no text of prompts or answers; neither have errors that are the
// client's, which may quote it.
func (s *Server) finish(r *http.Request, v *record, took time.Duration) {
	_, pattern := s.mux.Handler(r)
	s.metrics.count(pattern, v, took)
	attributes := []slog.Attr{
		slog.String("id", v.id), slog.String("method", r.Method), slog.String("path", r.URL.Path),
		slog.Int("status", v.status), slog.Duration("took", took.Round(time.Microsecond)),
	}
	if len(v.results) > 0 {
		sum := sumResults(v.results)
		attributes = append(attributes, slog.Int("prompt_tokens", sum.PromptTokens),
			slog.Int("cached_tokens", sum.CachedTokens), slog.Int("completion_tokens", sum.CompletionTokens),
			slog.Duration("prefill", sum.TTFT.Round(time.Microsecond)), slog.String("finish", string(sum.FinishReason)))
	}
	level := slog.LevelInfo
	if e := v.failure; e != nil {
		attributes = append(attributes, slog.String("code", e.Code), slog.String("param", e.Param))
		if e.Status >= http.StatusInternalServerError {
			level = slog.LevelError
			attributes = append(attributes, slog.String("error", e.Message))
		}
	}
	s.log.LogAttrs(r.Context(), level, "request", attributes...)
}

// sumResults adds up the answers to one prompt, which counts once.
func sumResults(results []model.Result) model.Result {
	sum := results[0]
	for _, r := range results[1:] {
		sum.CompletionTokens += r.CompletionTokens
		sum.GenerationTime += r.GenerationTime
	}
	return sum
}

// newID makes an id that nobody can guess.
func newID(prefix string) string { return prefix + rand.Text() }
