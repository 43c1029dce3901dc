package server

import (
	"errors"
	"fmt"
	"iter"
	"net/http"

	"github.com/glm4-metal/glm4-metal/model"
)

// messages answers POST /v1/messages.
func (s *Server) messages(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Request-Id", requestID(r)) // which Anthropic's clients show
	var raw rawObject
	if err := s.readJSON(w, r, &raw); err != nil {
		return err
	}
	q, err := decodeMessages(raw, s.o.Defaults, false)
	if err != nil {
		return err
	}
	pool, m, release, err := s.engine.use(r.Context())
	if err != nil {
		return err
	}
	defer release()
	request, reply := q.Request, (*reply)(nil)
	if q.prefill {
		if request, reply, err = continuation(r.Context(), m.Text(), q.Request); err != nil {
			return tooLong(err)
		}
	}
	answer, err := pool.Submit(r.Context(), request)
	if err != nil {
		return tooLong(err)
	}
	defer answer.Close()
	defer func() { note(r, answer.Result()) }()

	events := answer.Events()
	if reply != nil {
		events = reply.events(events)
	}
	if q.oneCall {
		events = firstCall(events)
	}
	stream := &messageStream{
		message: &message{ID: newID("msg_"), Type: "message", Role: "assistant", Model: s.o.Model, Content: []messageBlock{}},
		hidden:  q.hidden, maxTokens: q.Options.MaxTokens, newID: newID, send: discard,
	}
	if !q.stream {
		if err := stream.run(answer.PromptTokens(), events, answer.Result); err != nil {
			return tooLong(err)
		}
		return writeJSON(w, http.StatusOK, stream.message)
	}
	out := newEventStream(w, ping)
	defer out.close()
	stream.send = out.send
	if err := stream.run(answer.PromptTokens(), events, answer.Result); err != nil {
		e := explain(tooLong(err))
		noteFailure(r, e)
		out.send("error", anthropic(e))
	}
	return nil
}

// countTokens answers POST /v1/messages/count_tokens.
func (s *Server) countTokens(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Request-Id", requestID(r))
	var raw rawObject
	if err := s.readJSON(w, r, &raw); err != nil {
		return err
	}
	q, err := decodeMessages(raw, s.o.Defaults, true)
	if err != nil {
		return err
	}
	_, m, release, err := s.engine.use(r.Context())
	if err != nil {
		return err
	}
	defer release()
	_, ids, err := m.Text().Prompt(r.Context(), q.Messages, declared(q.Request), !q.prefill)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, members{"input_tokens": len(ids)})
}

// declared are the tools that a prompt has.
func declared(r model.Request) []model.Tool {
	if r.Choice.Mode == model.ToolNone {
		return nil
	}
	return r.Tools
}

// tooLong says of a prompt that does not fit what Anthropic's API says: Claude Code knows by it that it has to shorten
// the conversation.
func tooLong(err error) error {
	var long *model.ContextError
	if !errors.As(err, &long) {
		return err
	}
	e := explain(err)
	return &apiError{e.Status, e.Type, e.Code, e.Param,
		fmt.Sprintf("prompt is too long: %d tokens > %d maximum", long.Tokens, long.Limit-1)}
}

// firstCall ends the events with the first call.
func firstCall(events iter.Seq2[model.Event, error]) iter.Seq2[model.Event, error] {
	return func(yield func(model.Event, error) bool) {
		for e, err := range events {
			if !yield(e, err) || e.Call != nil {
				return
			}
		}
	}
}
