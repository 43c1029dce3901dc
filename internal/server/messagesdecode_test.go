package server

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/model"
)

func TestMessagesRequestIsMisread(t *testing.T) {
	q, err := decodeMessages(readBytes(t, `{
		"model": "glm-4", "max_tokens": 1024, "temperature": 0.5, "top_p": 0.9, "top_k": -1, "stop_sequences": ["\n\nHuman:"],
		"stream": true, "metadata": {"user_id": "x"}, "service_tier": "auto", "context_management": {"edits": []},
		"output_config": {"effort": "high"}, "thinking": {"type": "enabled", "budget_tokens": 500, "display": "omitted"},
		"system": [
			{"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.15.e19; cc_entrypoint=cli; cch=00000;"},
			{"type": "text", "text": "You are Claude Code.", "cache_control": {"type": "ephemeral"}},
			{"type": "text", "text": "Be brief."}],
		"tools": [{"name": "Read", "description": "Reads.", "input_schema": {"type": "object", "b": 1, "a": 2}},
			{"type": "web_search_20250305", "name": "web_search", "max_uses": 8}, {"type": "custom", "name": "Now", "input_schema": {}}],
		"tool_choice": {"type": "tool", "name": "Read", "disable_parallel_tool_use": true},
		"messages": [
			{"role": "user", "content": [{"type": "text", "text": "<system-reminder>"}, {"type": "text", "text": "hi",
				"cache_control": {"type": "ephemeral"}}]},
			{"role": "assistant", "content": [
				{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "redacted_thinking", "data": "d"},
				{"type": "text", "text": "I "}, {"type": "text", "text": "read."},
				{"type": "tool_use", "id": "t1", "name": "Read", "input": {"b": 1, "a": 2}},
				{"type": "tool_use", "id": "t2", "name": "Now", "input": {}}]},
			{"role": "user", "content": [
				{"type": "text", "text": "go on"},
				{"type": "tool_result", "tool_use_id": "t2", "content": "noon", "is_error": false},
				{"type": "tool_result", "tool_use_id": "t1", "is_error": true, "content": [{"type": "text", "text": "no"},
					{"type": "text", "text": "file"}]}]},
			{"role": "assistant", "content": "ok"},
			{"role": "system", "content": "late"},
			{"role": "user", "content": [{"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "paper"}}]}
		]}`), model.Options{MinP: 0.1}, false)
	require.NoError(t, err)
	require.Equal(t, []model.Message{
		model.SystemMessage("You are Claude Code.\n\nBe brief."), model.UserMessage("<system-reminder>\nhi"),
		{Role: model.RoleAssistant, Content: "I read.", ToolCalls: []model.ToolCall{{Name: "Read", Arguments: `{"b": 1, "a": 2}`},
			{Name: "Now", Arguments: "{}"}}},
		model.ToolResult("Error: no\nfile"), model.ToolResult("noon"), model.UserMessage("go on"),
		model.AssistantMessage("ok"), model.UserMessage("<system-reminder>\nlate\n</system-reminder>"), model.UserMessage("paper"),
	}, q.Messages)
	require.Equal(t, model.Options{MaxTokens: 1024, Temperature: 0.5, TopP: 0.9, MinP: 0.1, Stop: []string{"\n\nHuman:"},
		MaxReasoning: 500}, q.Options)
	require.Equal(t, model.ToolChoice{Mode: model.ToolNamed, Name: "Read"}, q.Choice)
	require.Len(t, q.Tools, 2)
	require.Contains(t, string(q.Tools[0].JSON), `{"type":"object","b":1,"a":2}`, "the order of keys")
	require.True(t, q.stream && q.hidden && q.oneCall && !q.prefill)
}

func TestBillingHeaderChangesThePrompt(t *testing.T) {
	for _, system := range []string{
		`"x-anthropic-billing-header: cc_version=1; cch=1;\nrules"`,
		`[{"type": "text", "text": "x-anthropic-billing-header: cch=2;"}, {"type": "text", "text": "rules"}]`,
		`[{"type": "text", "text": "x-anthropic-billing-header: cch=3;\n\nrules"}]`,
		`"rules"`,
	} {
		q, err := decodeMessages(readBytes(t, `{"max_tokens": 1, "messages": [{"role": "user", "content": "a"}], "system": `+system+`}`),
			model.Options{}, false)
		require.NoError(t, err)
		require.Equal(t, []model.Message{model.SystemMessage("rules"), model.UserMessage("a")}, q.Messages)
	}
}

func TestThinkingIsReadAsAnother(t *testing.T) {
	for thinking, want := range map[string]int{
		`null`: -1, `{"type": "disabled"}`: -1, `{"type": "adaptive"}`: 0, `{"type": "enabled", "budget_tokens": 7}`: 7,
	} {
		q, err := decodeMessages(readBytes(t, `{"max_tokens": 1, "messages": [{"role": "user", "content": "a"}], "thinking": `+thinking+`}`),
			model.Options{}, false)
		require.NoError(t, err)
		require.Equal(t, want, q.Options.MaxReasoning, thinking)
	}
}

func TestMessagesRequestIsRefusedForAnotherReason(t *testing.T) {
	one := `"messages": [{"role": "user", "content": "a"}]`
	for body, want := range map[string]struct{ param, code, text string }{
		`{` + one + `}`:                                                     {"max_tokens", "", "max_tokens is missing"},
		`{"max_tokens": 0, ` + one + `}`:                                    {"max_tokens", "", "max_tokens is 0"},
		`{"max_tokens": "9", ` + one + `}`:                                  {"max_tokens", "", "a string; it must be a number"},
		`{"max_tokens": 9}`:                                                 {"messages", "", "messages is missing"},
		`{"max_tokens": 9, "messages": []}`:                                 {"messages", "", "messages is empty"},
		`{"max_tokens": 9, "messages": [{}]}`:                               {"messages[0].content", "", "missing"},
		`{"max_tokens": 9, "messages": [{"content":"a"}]}`:                  {"messages[0].role", "", "missing"},
		`{"max_tokens": 9, "messages": [{"role": "tool", "content": "a"}]}`: {"messages[0].role", "unsupported_value", `"tool"`},
		`{"max_tokens": 9, "messages": [{"role": "user", "content": 5}]}`:   {"messages[0].content", "", "a number; it must be"},
		`{"max_tokens": 9, "messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]}`: {
			"messages[0].content[0].type", "unsupported_value", `"image"`},
		`{"max_tokens": 9, "messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "base64"}}]}]}`: {
			"messages[0].content[0].source.type", "unsupported_value", `"base64"`},
		`{"max_tokens": 9, "messages": [{"role": "user", "content": [{"type": "text"}]}]}`: {"messages[0].content[0].text", "", "missing"},
		`{"max_tokens": 9, "messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "x"}]}]}`: {
			"messages[0].content[0].tool_use_id", "", `"x"`},
		`{"max_tokens": 9, "messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "x", "name": "f", "input": "{}"}]}]}`: {
			"messages[0].content[0].input", "", "a string; it must be an object"},
		`{"max_tokens": 9, "messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "x", "name": "f", "input": {}}]}]}`: {
			"messages", "", "tool_result must follow"},
		`{"max_tokens": 9, "system": 1, ` + one + `}`:                     {"system", "", "a number; it must be"},
		`{"max_tokens": 9, "system": [{"type": "image"}], ` + one + `}`:   {"system[0].type", "unsupported_value", `"image"`},
		`{"max_tokens": 9, "stop_sequences": [""], ` + one + `}`:          {"stop_sequences[0]", "", "some length"},
		`{"max_tokens": 9, "stop_sequences": "a", ` + one + `}`:           {"stop_sequences", "", "an array"},
		`{"max_tokens": 9, "top_p": 2, ` + one + `}`:                      {"top_p", "", "2"},
		`{"max_tokens": 9, "thinking": {"type": "enabled"}, ` + one + `}`: {"thinking.budget_tokens", "", "missing"},
		`{"max_tokens": 9, "thinking": {"type": "deep"}, ` + one + `}`:    {"thinking.type", "unsupported_value", `"deep"`},
		`{"max_tokens": 9, "output_config": {"format": {"type": "json_schema"}}, ` + one + `}`: {
			"output_config.format", "unsupported_value", "structured output"},
		`{"max_tokens": 9, "output_format": {"type": "json_schema"}, ` + one + `}`:        {"output_format", "unsupported_value", "structured output"},
		`{"max_tokens": 9, "tools": [{"input_schema": {}}], ` + one + `}`:                 {"tools[0].name", "", "missing"},
		`{"max_tokens": 9, "tools": [{"name": "a\nb", "input_schema": {}}], ` + one + `}`: {"tools[0].name", "", "one line"},
		`{"max_tokens": 9, "tool_choice": {"type": "any"}, ` + one + `}`:                  {"tool_choice", "", "no function is declared"},
		`{"max_tokens": 9, "tool_choice": {"type": "tool", "name": "g"}, ` + one + `}`:    {"tool_choice.name", "", `"g"`},
		`{"max_tokens": 9, "tool_choice": "auto", ` + one + `}`:                           {"tool_choice", "", "a string; it must be an object"},
		`{"max_tokens": 9, "tools": [{"name": "f"}], "tool_choice": {"type": "any"}, "messages": [{"role": "assistant", "content": "a"}]}`: {
			"messages", "", "tool_choice requires a call"},
	} {
		_, err := decodeMessages(readBytes(t, body), model.Options{}, false)
		require.Error(t, err, body)
		e := explain(err)
		require.Equal(t, want.param, e.Param, body)
		require.Equal(t, want.code, e.Code, body)
		require.Contains(t, e.Message, want.text, body)
		require.Equal(t, 400, e.Status)
	}
}

func TestBeginningOfAnAnswerIsTakenForATurn(t *testing.T) {
	for messages, want := range map[string]bool{
		`[{"role": "user", "content": "a"}]`:                                          false,
		`[{"role": "user", "content": "a"}, {"role": "assistant", "content": "The"}]`: true,
	} {
		q, err := decodeMessages(readBytes(t, `{"max_tokens": 1, "messages": `+messages+`}`), model.Options{}, false)
		require.NoError(t, err)
		require.Equal(t, want, q.prefill)
	}
}
