package server

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/model"
)

// readBytes is a body as readJSON gives it.
func readBytes(t testing.TB, data string) rawObject {
	t.Helper()
	var raw rawObject
	require.NoError(t, decodeJSON([]byte(data), &raw))
	return raw
}

func noHistory(string) (turns, bool) { return turns{}, false }

func newTestResponse(t *testing.T, body string, o *transcript) *responseStream {
	t.Helper()
	q, err := decodeResponses(readBytes(t, body), model.Options{}, noHistory)
	require.NoError(t, err)
	q.response.ID, q.response.CreatedAt, q.response.Model = "resp_0", 1700000000, "glm-4"
	return &responseStream{response: &q.response, newID: counter(), now: func() int64 { return 1700000000 }, send: o.send}
}

const brief = `{"model": "glm-4", "input": "hi", "instructions": "Be brief.", "max_output_tokens": 50, "temperature": 0.5,
	"metadata": {"user": "7"}, "stream": true`

func TestResponseStreamIsNotOpenAIs(t *testing.T) {
	for file, c := range map[string]struct {
		more   string
		events []model.Event
		result model.Result
	}{
		"responses-text.txt": {
			"}", []model.Event{{Text: "Hi"}, {}, {Text: " there!"}},
			model.Result{FinishReason: model.FinishStop, PromptTokens: 37, CachedTokens: 30, CompletionTokens: 11},
		},
		"responses-incomplete.txt": {
			"}", []model.Event{{Text: "Hi"}},
			model.Result{FinishReason: model.FinishLength, PromptTokens: 37, CompletionTokens: 50},
		},
		"responses-tools.txt": {
			"}", []model.Event{{Reasoning: "Look"}, {Reasoning: " it up."}, {Text: "I'll look."},
				{Call: &model.ToolCall{Name: "get_weather", Arguments: `{"city": "Paris"}`}},
				{Call: &model.ToolCall{Name: "get_time", Arguments: `{}`}}},
			model.Result{FinishReason: model.FinishToolCalls, PromptTokens: 472, CompletionTokens: 89},
		},
		"responses-summary.txt": {
			`, "reasoning": {"effort": "low", "summary": "auto"}}`, []model.Event{{Reasoning: "Look"}, {Text: "a"}},
			model.Result{FinishReason: model.FinishStop, PromptTokens: 4, CompletionTokens: 2},
		},
	} {
		var out transcript
		require.NoError(t, newTestResponse(t, brief+c.more, &out).run(said(c.events...),
			func() model.Result { return c.result }))
		requireStream(t, file, out.String())
	}
}

func TestFailureOfAStreamIsNotOpenAIs(t *testing.T) {
	var out transcript
	s := newTestResponse(t, brief+"}", &out)
	var events iter.Seq2[model.Event, error] = func(yield func(model.Event, error) bool) {
		if yield(model.Event{Text: "Hi"}, nil) {
			yield(model.Event{}, errors.New("the GPU is gone"))
		}
	}
	err := s.run(events, nil)
	require.Error(t, err)
	s.fail(explain(err))
	requireStream(t, "responses-failed.txt", out.String())
}

func TestResponseWithoutAnAnswerHasNoMessage(t *testing.T) {
	s := newTestResponse(t, `{"input": "hi"}`, &transcript{})
	require.NoError(t, s.run(said(), func() model.Result { return model.Result{FinishReason: model.FinishStop} }))
	require.Len(t, s.response.Output, 1)
	require.Equal(t, "message", s.response.Output[0].(*responseItem).Type)
}

func TestResponseRequestIsMisread(t *testing.T) {
	q, err := decodeResponses(readBytes(t, `{
		"model": "glm-4", "instructions": "Be brief.", "store": false, "parallel_tool_calls": false, "truncation": "auto",
		"temperature": 0, "top_p": 0.5, "max_output_tokens": 9, "reasoning": {"effort": "none"}, "new_field": [1],
		"text": {"format": {"type": "text"}, "verbosity": "low"}, "include": ["reasoning.encrypted_content"],
		"tools": [{"type": "web_search"}, {"type": "custom", "name": "apply_patch", "format": {"type": "grammar"}},
			{"type": "function", "name": "a", "strict": true, "parameters": {"type": "object", "b": 1, "a": 2}},
			{"type": "function", "name": "b", "description": "B.", "parameters": null}],
		"tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "a"}]},
		"input": [
			{"role": "developer", "content": "rules"},
			{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "one"}, {"type": "input_text", "text": "two"}]},
			{"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"},
			{"type": "message", "role": "assistant", "id": "msg_1", "status": "completed",
				"content": [{"type": "output_text", "text": "I ", "annotations": []}, {"type": "refusal", "refusal": "won't"}]},
			{"type": "function_call", "call_id": "c1", "name": "a", "arguments": "{}"},
			{"type": "function_call", "call_id": "c2", "name": "b", "arguments": "{\"x\":1}"},
			{"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "second"}]},
			{"type": "function_call_output", "call_id": "c1", "output": "first"}]}`), model.Options{Temperature: 0.9}, noHistory)
	require.NoError(t, err)
	require.Equal(t, []model.Message{
		model.SystemMessage("Be brief."), model.SystemMessage("rules"), model.UserMessage("one\ntwo"),
		{Role: model.RoleAssistant, Content: "I won't", ToolCalls: []model.ToolCall{{Name: "a", Arguments: "{}"},
			{Name: "b", Arguments: `{"x":1}`}}},
		model.ToolResult("first"), model.ToolResult("second"),
	}, q.Messages)
	require.Equal(t, model.Options{TopP: 0.5, MaxTokens: 9, MaxReasoning: -1}, q.Options)
	require.Equal(t, model.ToolRequired, q.Choice.Mode)
	require.Len(t, q.Tools, 1)
	require.Equal(t, "a", q.Tools[0].Name)
	require.Contains(t, string(q.Tools[0].JSON), `{"type":"object","b":1,"a":2}`, "the order of keys")
	require.True(t, q.oneCall && q.drop && !q.store && !q.stream)
}

func TestResponseRequestIsRefusedForAnotherReason(t *testing.T) {
	for body, want := range map[string]struct{ param, code, text string }{
		`{}`:                         {"input", "", "input is missing"},
		`{"input": []}`:              {"input", "", "input is empty"},
		`{"input": 1}`:               {"input", "", "input is a number; it must be"},
		`{"input": [1]}`:             {"input[0]", "", "input[0] is a number; it must be an object"},
		`{"input": [{"role": "x"}]}`: {"input[0].content", "", "input[0].content is missing"},
		`{"input": [{"role": "x", "content": "a"}]}`: {"input[0].role", "unsupported_value", `"user"`},
		`{"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "data:"}]}]}`: {
			"input[0].content[0].type", "unsupported_value", `"input_image"`},
		`{"input": [{"type": "item_reference", "id": "msg_1"}]}`:                                          {"input[0].type", "unsupported_value", `"item_reference"`},
		`{"input": [{"type": "computer_call", "id": "x"}]}`:                                               {"input[0].type", "unsupported_value", `"computer_call"`},
		`{"input": [{"type": "function_call_output", "call_id": "c9", "output": "x"}]}`:                   {"input[0].call_id", "", `"c9"`},
		`{"input": "a", "temperature": "hot"}`:                                                            {"temperature", "", "temperature is a string; it must be a number"},
		`{"input": "a", "temperature": -1}`:                                                               {"temperature", "", "-1"},
		`{"input": "a", "max_output_tokens": 0}`:                                                          {"max_output_tokens", "", "0"},
		`{"input": "a", "max_output_tokens": 1.5}`:                                                        {"max_output_tokens", "", "1.5"},
		`{"input": "a", "stream": "yes"}`:                                                                 {"stream", "", "true or false"},
		`{"input": "a", "background": true}`:                                                              {"background", "unsupported_value", "background"},
		`{"input": "a", "conversation": "conv_1"}`:                                                        {"conversation", "unsupported_value", "previous_response_id"},
		`{"input": "a", "prompt": {"id": "p"}}`:                                                           {"prompt", "unsupported_value", "instructions"},
		`{"input": "a", "top_logprobs": 2}`:                                                               {"top_logprobs", "unsupported_value", "chat/completions"},
		`{"input": "a", "text": {"format": {"type": "json_schema", "name": "x"}}}`:                        {"text.format.type", "unsupported_value", `"json_schema"`},
		`{"input": "a", "truncation": "some"}`:                                                            {"truncation", "unsupported_value", `"some"`},
		`{"input": "a", "reasoning": {"effort": "huge"}}`:                                                 {"reasoning.effort", "unsupported_value", `"huge"`},
		`{"input": "a", "tools": [{"name": "f"}]}`:                                                        {"tools[0].type", "", "missing"},
		`{"input": "a", "tools": [{"type": "function"}]}`:                                                 {"tools[0].name", "", "missing"},
		`{"input": "a", "tools": [{"type": "function", "name": "f", "parameters": []}]}`:                  {"tools[0].parameters", "", "an array"},
		`{"input": "a", "tool_choice": "required"}`:                                                       {"tool_choice", "", "no function is declared"},
		`{"input": "a", "tool_choice": {"type": "function", "name": "g"}}`:                                {"tool_choice.name", "", `"g"`},
		`{"input": "a", "tool_choice": {"type": "web_search"}}`:                                           {"tool_choice.type", "unsupported_value", `"web_search"`},
		`{"input": "a", "metadata": "x"}`:                                                                 {"metadata", "", "an object"},
		`{"input": "a", "previous_response_id": "resp_x"}`:                                                {"previous_response_id", "previous_response_not_found", "resp_x"},
		`{"input": "a", "tools": [{"type": "function", "name": "f"}, {"type": "function", "name": "f"}]}`: {"tools[1].name", "", "names must differ"},
	} {
		_, err := decodeResponses(readBytes(t, body), model.Options{}, noHistory)
		require.Error(t, err, body)
		e := explain(err)
		require.Equal(t, want.param, e.Param, body)
		require.Equal(t, want.code, e.Code, body)
		require.Contains(t, e.Message, want.text, body)
		require.Equal(t, 400, e.Status, body)
	}
}

func TestEarlierResponseIsForgottenInItsFollower(t *testing.T) {
	var store responseStore
	say := func(body, id string, events ...model.Event) *responsesRequest {
		q, err := decodeResponses(readBytes(t, body), model.Options{}, store.history)
		require.NoError(t, err)
		q.response.ID = id
		stream := &responseStream{response: &q.response, newID: func(prefix string) string { return prefix + id },
			now: func() int64 { return 0 }, send: discard}
		stream.done = func() error { return store.add(q) }
		require.NoError(t, stream.run(said(events...), func() model.Result { return model.Result{} }))
		return q
	}
	say(`{"input": "weather?", "instructions": "Be brief."}`, "r1", model.Event{Reasoning: "hm"},
		model.Event{Call: &model.ToolCall{Name: "w", Arguments: "{}"}})
	q := say(`{"previous_response_id": "r1", "input": [{"type": "function_call_output", "call_id": "call_r1", "output": "sun"}]}`,
		"r2", model.Event{Text: "Sun."})
	require.Equal(t, []model.Message{model.UserMessage("weather?"),
		{Role: model.RoleAssistant, ToolCalls: []model.ToolCall{{Name: "w", Arguments: "{}"}}}, model.ToolResult("sun")},
		q.Messages, "without the earlier instructions")
	branch := say(`{"previous_response_id": "r1", "input": [{"type": "function_call_output", "call_id": "call_r1", "output": "rain"}]}`,
		"r3", model.Event{Text: "Rain."})
	require.Equal(t, model.ToolResult("rain"), branch.Messages[2])
	q = say(`{"previous_response_id": "r2", "input": "and now?"}`, "r4", model.Event{Text: "?"})
	require.Equal(t, []model.Message{model.ToolResult("sun"), model.AssistantMessage("Sun."), model.UserMessage("and now?")},
		q.Messages[2:])

	data, ok := store.get("r2")
	require.True(t, ok)
	var kept struct{ Status string }
	require.NoError(t, json.Unmarshal(data, &kept))
	require.Equal(t, "completed", kept.Status)
	require.True(t, store.remove("r2"))
	require.False(t, store.remove("r2"))
	_, ok = store.history("r2")
	require.False(t, ok)
}

func TestStoreOfResponsesGrowsWithoutEnd(t *testing.T) {
	var store responseStore
	add := func(id string, size int) {
		q := &responsesRequest{}
		q.response.ID = id
		q.conversation.add(model.UserMessage(strings.Repeat("x", size)))
		require.NoError(t, store.add(q))
	}
	for i := range maxResponses + 10 {
		add(strconv.Itoa(i), 1)
		_, ok := store.get("0") // is used, so stays
		require.True(t, ok)
	}
	require.Equal(t, maxResponses, store.used.Len())
	_, ok := store.get("1")
	require.False(t, ok)
	add("large", maxResponseBytes/2)
	add("larger", maxResponseBytes)
	require.Equal(t, 1, store.used.Len())
	require.Len(t, store.byID, 1)
	add("small", 1)
	require.Equal(t, 1, store.used.Len())
	require.Less(t, store.bytes, 1000)
}

func TestTruncationDropsTheLastQuestion(t *testing.T) {
	messages := []model.Message{model.SystemMessage("s"), model.UserMessage("1"), model.AssistantMessage("a"),
		model.SystemMessage("late"), model.UserMessage("2"), model.ToolResult("r"), model.UserMessage("3")}
	require.True(t, dropOldest(&messages))
	require.Equal(t, []model.Message{model.SystemMessage("s"), model.SystemMessage("late"), model.UserMessage("2"),
		model.ToolResult("r"), model.UserMessage("3")}, messages)
	require.True(t, dropOldest(&messages))
	require.Equal(t, model.UserMessage("3"), messages[2])
	require.False(t, dropOldest(&messages))
	require.Len(t, messages, 3)
}

func TestTruncationRefusesWhatWouldFit(t *testing.T) {
	for truncation, fits := range map[string]bool{"auto": true, "disabled": false} {
		q, err := decodeResponses(readBytes(t, `{"truncation": "`+truncation+`", "input": [{"role": "user", "content": "1"},
			{"role": "user", "content": "2"}, {"role": "user", "content": "3"}]}`), model.Options{}, noHistory)
		require.NoError(t, err)
		_, err = q.submit(t.Context(), func(_ context.Context, r model.Request) (*model.Answer, error) {
			if len(r.Messages) > 1 {
				return nil, &model.ContextError{}
			}
			return &model.Answer{}, nil
		})
		require.Equal(t, fits, err == nil, truncation)
	}
}
