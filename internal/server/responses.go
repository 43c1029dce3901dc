package server

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/glm4-metal/glm4-metal/model"
)

// responses answers POST /v1/responses.
func (s *Server) responses(w http.ResponseWriter, r *http.Request) error {
	var raw rawObject
	if err := s.readJSON(w, r, &raw); err != nil {
		return err
	}
	q, err := decodeResponses(raw, s.o.Defaults, s.stored.history)
	if err != nil {
		return err
	}
	pool, _, release, err := s.engine.use(r.Context())
	if err != nil {
		return err
	}
	defer release()
	answer, err := q.submit(r.Context(), pool.Submit)
	if err != nil {
		return err
	}
	defer answer.Close()
	defer func() { note(r, answer.Result()) }()

	events := answer.Events()
	if q.oneCall {
		events = firstCall(events)
	}
	q.response.ID, q.response.CreatedAt, q.response.Model = newID("resp_"), now(), s.o.Model
	stream := &responseStream{response: &q.response, newID: newID, now: now, send: discard}
	if q.store {
		stream.done = func() error { return s.stored.add(q) }
	}
	if !q.stream {
		if err := stream.run(events, answer.Result); err != nil {
			return err
		}
		return writeJSON(w, http.StatusOK, stream.response)
	}
	out := newEventStream(w, nil)
	defer out.close()
	stream.send = out.send
	if err := stream.run(events, answer.Result); err != nil {
		e := explain(err)
		noteFailure(r, e)
		stream.fail(e)
	}
	return nil
}

// discard is the send of an answer that is no stream.
func discard(string, any) error { return nil }

// submit may leave out messages from the beginning, as truncation "auto" has it, until the prompt fits.
func (r *responsesRequest) submit(
	ctx context.Context, submit func(context.Context, model.Request) (*model.Answer, error),
) (*model.Answer, error) {
	for {
		answer, err := submit(ctx, r.Request)
		var long *model.ContextError
		switch {
		case !errors.As(err, &long):
			return answer, err
		case !r.drop || !dropOldest(&r.Request.Messages):
			e := explain(err)
			e.Param = "input"
			return nil, e
		}
	}
}

// dropOldest takes out the oldest turn: a user's messages and all that follows up to the next one's. The last stays.
func dropOldest(messages *[]model.Message) bool {
	m := *messages
	system := func(m model.Message) bool { return m.Role == model.RoleSystem }
	first := slices.IndexFunc(m, func(m model.Message) bool { return !system(m) })
	if first < 0 {
		return false
	}
	rest := m[first+1:]
	next := slices.IndexFunc(rest, func(m model.Message) bool { return m.Role == model.RoleUser })
	if next < 0 {
		return false
	}
	kept := slices.Clone(m[:first])
	for _, late := range rest[:next] {
		if system(late) {
			kept = append(kept, late)
		}
	}
	*messages = append(kept, rest[next:]...)
	return true
}

// getResponse answers GET /v1/responses/{id}.
func (s *Server) getResponse(w http.ResponseWriter, r *http.Request) error {
	if r.URL.Query().Get("stream") == "true" {
		return unsupported("stream", "stream is true, which is not supported for a response that is whole; leave it out")
	}
	id := r.PathValue("id")
	data, ok := s.stored.get(id)
	if !ok {
		return noResponse(id)
	}
	return writeJSON(w, http.StatusOK, data)
}

// deleteResponse answers DELETE /v1/responses/{id}.
func (s *Server) deleteResponse(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	if !s.stored.remove(id) {
		return noResponse(id)
	}
	return writeJSON(w, http.StatusOK, members{"id": id, "object": "response", "deleted": true})
}

// noResponse is the error of a response that is not, or no longer, kept.
func noResponse(id string) error {
	return refused(http.StatusNotFound, "response_not_found",
		"there is no response %.80q; only the latest are kept, until the server stops", id)
}

// encode is a response as JSON.
func (v *response) encode() ([]byte, error) {
	var b bytes.Buffer
	err := encodeJSON(&b, v)
	return b.Bytes(), err
}
