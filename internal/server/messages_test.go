package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/model"
)

// said are events of a model, each with a token.
func said(events ...model.Event) iter.Seq2[model.Event, error] {
	return func(yield func(model.Event, error) bool) {
		for _, e := range events {
			e.Token = &model.Token{}
			if !yield(e, nil) {
				return
			}
		}
	}
}

// counter numbers ids.
func counter() func(prefix string) string {
	n := 0
	return func(prefix string) string {
		n++
		return fmt.Sprint(prefix, n)
	}
}

// transcript keeps a stream as it goes over the wire.
type transcript struct{ bytes.Buffer }

func (t *transcript) send(event string, data any) error {
	fmt.Fprintf(t, "event: %s\ndata: ", event)
	if err := encodeJSON(&t.Buffer, data); err != nil {
		return err
	}
	t.WriteByte('\n')
	return nil
}

// requireStream compares a stream with a file: the events in order, their data as JSON.
func requireStream(t *testing.T, file, got string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "streams", file))
	require.NoError(t, err)
	want := strings.Split(strings.TrimSpace(string(data)), "\n\n")
	have := strings.Split(strings.TrimSpace(got), "\n\n")
	for i := range min(len(want), len(have)) {
		wantEvent, wantData, _ := strings.Cut(want[i], "\ndata: ")
		haveEvent, haveData, _ := strings.Cut(have[i], "\ndata: ")
		require.Equal(t, wantEvent, haveEvent, "%s, event %d", file, i)
		require.JSONEq(t, wantData, haveData, "%s, event %d", file, i)
	}
	require.Len(t, have, len(want), file)
}

func newTestMessage(o *transcript) *messageStream {
	return &messageStream{message: &message{ID: "msg_0", Type: "message", Role: "assistant", Model: "glm-4",
		Content: []messageBlock{}}, maxTokens: 100, newID: counter(), send: o.send}
}

func TestMessageStreamIsNotAnthropics(t *testing.T) {
	for file, c := range map[string]struct {
		events []model.Event
		result model.Result
	}{
		"messages-text.txt": {
			[]model.Event{{Text: "Hello"}, {}, {Text: "!"}},
			model.Result{FinishReason: model.FinishStop, PromptTokens: 25, CachedTokens: 20, CompletionTokens: 3},
		},
		"messages-tools.txt": {
			[]model.Event{{Reasoning: "Look"}, {Reasoning: " it up."}, {Text: "I'll look."},
				{Call: &model.ToolCall{Name: "get_weather", Arguments: `{"city": "Paris"}`}},
				{Call: &model.ToolCall{Name: "get_time", Arguments: `{}`}}},
			model.Result{FinishReason: model.FinishToolCalls, PromptTokens: 472, CompletionTokens: 89},
		},
	} {
		var out transcript
		require.NoError(t, newTestMessage(&out).run(c.result.PromptTokens, said(c.events...),
			func() model.Result { return c.result }))
		requireStream(t, file, out.String())
	}
}

func TestMessageIsNotWhatItsStreamSays(t *testing.T) {
	s := newTestMessage(&transcript{})
	require.NoError(t, s.run(472, said(model.Event{Reasoning: "Look"}, model.Event{Text: "I'll"}, model.Event{Text: " look."},
		model.Event{Call: &model.ToolCall{Name: "get_weather", Arguments: `{"city": "Paris"}`}}),
		func() model.Result {
			return model.Result{FinishReason: model.FinishToolCalls, PromptTokens: 472, CompletionTokens: 9}
		}))
	data, err := json.Marshal(s.message)
	require.NoError(t, err)
	require.JSONEq(t, `{"id": "msg_0", "type": "message", "role": "assistant", "model": "glm-4", "content": [
		{"type": "thinking", "thinking": "Look", "signature": ""},
		{"type": "text", "text": "I'll look."},
		{"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Paris"}}],
		"stop_reason": "tool_use", "stop_sequence": null, "usage": {"input_tokens": 472, "output_tokens": 9,
		"cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}}`, string(data))
}

func TestStopReasonIsWrong(t *testing.T) {
	call := model.Event{Call: &model.ToolCall{Name: "f", Arguments: "{}"}}
	for _, c := range []struct {
		event    model.Event
		result   model.Result
		reason   string
		sequence string
	}{
		{model.Event{Text: "a"}, model.Result{FinishReason: model.FinishStop, Stopped: true}, "end_turn", ""},
		{model.Event{Text: "a"}, model.Result{FinishReason: model.FinishStop, StopText: "\n\n"}, "stop_sequence", "\n\n"},
		{model.Event{Text: "a"}, model.Result{FinishReason: model.FinishLength, CompletionTokens: 100}, "max_tokens", ""},
		{model.Event{Text: "a"}, model.Result{FinishReason: model.FinishLength, CompletionTokens: 99},
			"model_context_window_exceeded", ""},
		{call, model.Result{FinishReason: model.FinishToolCalls}, "tool_use", ""},
	} {
		s := newTestMessage(&transcript{})
		require.NoError(t, s.run(1, said(c.event), func() model.Result { return c.result }))
		require.Equal(t, c.reason, *s.message.StopReason)
		if c.sequence == "" {
			require.Nil(t, s.message.StopSequence)
		} else {
			require.Equal(t, c.sequence, *s.message.StopSequence)
		}
	}
}

func TestOmittedThinkingIsShown(t *testing.T) {
	s := newTestMessage(&transcript{})
	s.hidden = true
	require.NoError(t, s.run(1, said(model.Event{Reasoning: "secret"}, model.Event{Text: "a"}),
		func() model.Result { return model.Result{} }))
	require.Len(t, s.message.Content, 1)
}

func TestStreamGoesOnWithoutAReader(t *testing.T) {
	gone := errors.New("gone")
	sent := 0
	send := func(string, any) error {
		if sent++; sent > 3 {
			return gone
		}
		return nil
	}
	read := 0
	endless := func(yield func(model.Event, error) bool) {
		for yield(model.Event{Text: "a"}, nil) {
			read++
		}
	}
	m := &messageStream{message: &message{}, newID: counter(), send: send}
	require.ErrorIs(t, m.run(1, endless, nil), gone)
	require.Less(t, read, 5)
	sent, read = 0, 0
	r := &responseStream{response: &response{}, newID: counter(), send: send}
	require.ErrorIs(t, r.run(endless, nil), gone)
	require.Less(t, read, 5)
}

func TestFirstCallLetsASecondThrough(t *testing.T) {
	var names []string
	for e, err := range firstCall(said(model.Event{Call: &model.ToolCall{Name: "a"}}, model.Event{Call: &model.ToolCall{Name: "b"}})) {
		require.NoError(t, err)
		if e.Call != nil {
			names = append(names, e.Call.Name)
		}
	}
	require.Equal(t, []string{"a"}, names)
}

func TestErrorIsNotAnthropics(t *testing.T) {
	for status, kind := range map[int]string{400: "invalid_request_error", 401: "authentication_error", 403: "permission_error",
		404: "not_found_error", 405: "invalid_request_error", 413: "request_too_large", 429: "rate_limit_error",
		500: "api_error", 503: "overloaded_error", 504: "timeout_error"} {
		data, err := json.Marshal(anthropic(&apiError{Status: status, Message: "no"}))
		require.NoError(t, err)
		require.JSONEq(t, `{"type": "error", "error": {"type": "`+kind+`", "message": "no"}}`, string(data))
	}
}
