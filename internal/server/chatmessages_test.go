package server

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/model"
)

func TestMessagesAreLost(t *testing.T) {
	call := func(name, arguments string) model.ToolCall { return model.ToolCall{Name: name, Arguments: arguments} }
	for _, c := range []struct {
		name, messages string
		want           []model.Message
	}{
		{"roles", `[{"role":"system","content":"a"},{"role":"developer","content":"b"},{"role":"user","content":"c","name":"x"},
			{"role":"assistant","content":"d","reasoning_content":"e","refusal":null}]`,
			[]model.Message{model.SystemMessage("a"), model.SystemMessage("b"), model.UserMessage("c"),
				{Role: model.RoleAssistant, Content: "d", Reasoning: "e"}}},
		{"a late system text", `[{"role":"system","content":"a"},{"role":"user","content":"b"},{"role":"system","content":"c"}]`,
			[]model.Message{model.SystemMessage("a"), model.UserMessage("b"),
				model.UserMessage("<system-reminder>\nc\n</system-reminder>")}},
		{"parts", `[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},
			{"role":"assistant","content":[{"type":"refusal","refusal":"no"}]},{"role":"user","content":[]}]`,
			[]model.Message{model.UserMessage("a\nb"), model.AssistantMessage("no"), model.UserMessage("")}},
		{"results", `[{"role":"assistant","content":null,"tool_calls":[
				{"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\": 1}"}},
				{"id":"2","function":{"name":"g","arguments":{"b":2}}},{"id":"3","function":{"name":"h"}}]},
			{"role":"tool","tool_call_id":"3","content":"three"},{"role":"tool","tool_call_id":"1","content":"one"},
			{"role":"user","content":"and?"}]`,
			[]model.Message{{Role: model.RoleAssistant, ToolCalls: []model.ToolCall{call("f", `{"a": 1}`), call("g", `{"b":2}`),
				call("h", "")}}, model.ToolResult("one"), model.ToolResult("three"), model.UserMessage("and?")}},
		{"results without ids", `[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":null}},
			{"function":{"name":"g"}}]},{"role":"tool","content":"one"},{"role":"tool","content":[{"type":"text","text":"two"}]}]`,
			[]model.Message{{Role: model.RoleAssistant, ToolCalls: []model.ToolCall{call("f", ""), call("g", "")}},
				model.ToolResult("one"), model.ToolResult("two")}},
		{"a result without a call", `[{"role":"tool","content":"one"}]`, []model.Message{model.ToolResult("one")}},
	} {
		var raw []json.RawMessage
		require.NoError(t, json.Unmarshal([]byte(c.messages), &raw))
		got, err := chatMessages(raw)
		require.NoError(t, err, c.name)
		require.Equal(t, c.want, got, c.name)
	}
	for messages, want := range map[string]string{
		`[{"role":"assistant","tool_calls":[{"id":"1","function":{"name":"f"}}]},{"role":"tool","tool_call_id":"1"},
			{"role":"tool","tool_call_id":"1"}]`: "messages[2].tool_call_id",
		`[{"role":"assistant","tool_calls":[{"id":"1","function":{"name":"f"}}]},{"role":"user","content":""},
			{"role":"tool","tool_call_id":"1"}]`: "messages[2].tool_call_id",
		`[{"role":"assistant","tool_calls":[{"id":"1","function":{"name":"f"}},{"id":"1","function":{"name":"f"}}]}]`: "messages[0]" +
			".tool_calls[1].id",
		`[{"role":"assistant","tool_calls":[{"id":"1","function":{}}]}]`:                    "messages[0].tool_calls[0].function.name",
		`[{"role":"assistant","tool_calls":[{"id":"1","type":"custom"}]}]`:                  "messages[0].tool_calls[0].type",
		`[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":1}]}]`: "messages[0].content[1].text",
	} {
		var raw []json.RawMessage
		require.NoError(t, json.Unmarshal([]byte(messages), &raw))
		_, err := chatMessages(raw)
		require.ErrorAs(t, err, new(*apiError))
		require.Equal(t, want, explain(err).Param)
	}
}

func TestOptionIsLost(t *testing.T) {
	defaults := model.Options{Temperature: 0.5, TopP: 0.9, MaxTokens: 7, Seed: 3}
	var q chatRequest
	require.NoError(t, decodeJSON([]byte(`{"messages":[{"role":"user","content":""}],"temperature":0,"top_k":-1,"min_p":0.1,
		"seed":0,"repetition_penalty":1.1,"presence_penalty":-1,"frequency_penalty":2,"logit_bias":{"5":-100},"stop":"x",
		"max_tokens":9,"max_completion_tokens":11,"logprobs":true,"top_logprobs":3,"ignore_eos":true,
		"chat_template_kwargs":{"enable_thinking":false}}`), &q))
	r, err := q.request(defaults)
	require.NoError(t, err)
	require.Equal(t, model.Options{TopP: 0.9, MinP: 0.1, Seed: 1 << 63, RepetitionPenalty: 1.1, PresencePenalty: -1,
		FrequencyPenalty: 2, LogitBias: map[int32]float32{5: -100}, Stop: []string{"x"}, MaxTokens: 11, Logprobs: true,
		TopLogprobs: 3, IgnoreEOS: true, MaxReasoning: -1}, r.Options)
	all := several(r, 2)
	require.NotEqual(t, all[0].Options.Seed, all[1].Options.Seed, "two answers would be the same")
	require.NoError(t, decodeJSON([]byte(`{"messages":[{"role":"user","content":""}]}`), &q))
	q = chatRequest{Messages: q.Messages}
	r, err = q.request(defaults)
	require.NoError(t, err)
	require.Equal(t, defaults, r.Options)
}

func TestToolChoiceIsLost(t *testing.T) {
	tools := `"tools":[{"type":"web_search"},{"type":"function","function":{"name":"f"}},{"type":"function","name":"g"}]`
	for choice, want := range map[string]model.ToolChoice{
		`null`: {}, `"auto"`: {}, `"none"`: {Mode: model.ToolNone}, `"required"`: {Mode: model.ToolRequired},
		`{"type":"function","function":{"name":"f"}}`: {Mode: model.ToolNamed, Name: "f"},
	} {
		var q chatRequest
		require.NoError(t, decodeJSON([]byte(`{`+hello+`,`+tools+`,"tool_choice":`+choice+`}`), &q))
		r, err := q.request(model.Options{})
		require.NoError(t, err, choice)
		require.Equal(t, want, r.Choice, choice)
		require.Len(t, r.Tools, 2)
		require.Equal(t, "f", r.Tools[0].Name)
		require.Equal(t, "g", r.Tools[1].Name)
	}
}

// Whatever a body holds, it is read or refused with a status of the client's.
func FuzzChatRequest(f *testing.F) {
	for _, body := range []string{`{` + hello + `}`, `{}`, `[]`, `{"messages":null}`, `{"messages":[null]}`,
		`{` + hello + `,"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"required","stop":["a"],"n":3}`,
		`{"messages":[{"role":"assistant","tool_calls":[{"id":"1","function":{"name":"f","arguments":"{}"}}]},` +
			`{"role":"tool","tool_call_id":"1","content":[{"type":"text","text":"\ud800"}]}]}`,
		`{` + hello + `,"response_format":{"type":"text"},"logit_bias":{"1":1e40},"temperature":1e400}`} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var q chatRequest
		err := decodeJSON(body, &q)
		var r model.Request
		if err == nil {
			r, err = q.request(model.Options{})
		}
		if err != nil {
			require.Equal(t, 400, explain(err).Status, "%v", err)
			require.NotEmpty(t, explain(err).Message)
			return
		}
		require.NotEmpty(t, r.Messages)
		require.NoError(t, r.Options.Check())
	})
}
