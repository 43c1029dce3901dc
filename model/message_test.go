package model

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNewToolDiffersFromAParsedOne(t *testing.T) {
	parsed, err := ParseTools([]byte(`[{"type":"function","function":{"name":"get_weather","description":"The weather of a city","parameters":{"type":"object","properties":{"city":{"type":"string"}}}}}]`))
	require.NoError(t, err)
	type property struct {
		Type string `json:"type"`
	}
	for _, parameters := range []any{
		map[string]any{"type": "object", "properties": map[string]any{"city": property{"string"}}},
		json.RawMessage(`{"type":"object","properties":{"city":{"type":"string"}}}`),
	} {
		tool, err := NewTool("get_weather", "The weather of a city", parameters)
		require.NoError(t, err)
		require.Equal(t, "get_weather", tool.Name)
		require.JSONEq(t, string(parsed[0].JSON), string(tool.JSON))
	}
	tool, err := NewTool("now", "", nil)
	require.NoError(t, err)
	require.JSONEq(t,
		`{"type":"function","function":{"name":"now","description":"","parameters":{"type":"object","properties":{}}}}`,
		string(tool.JSON))
}

func TestBadToolIsMade(t *testing.T) {
	for want, make := range map[string]func() (Tool, error){
		`function name is "": expected a name on one line`:                                                           func() (Tool, error) { return NewTool("", "", nil) },
		`function name is "a\nb": expected a name on one line`:                                                       func() (Tool, error) { return NewTool("a\nb", "", nil) },
		`tool "f": the parameters are "x"; they must be a JSON schema, such as {"type": "object", "properties": {}}`: func() (Tool, error) { return NewTool("f", "", "x") },
		`tool "f": json: unsupported type: func()`:                                                                   func() (Tool, error) { return NewTool("f", "", func() {}) },
		`tool "f": json: error calling MarshalJSON for type json.RawMessage: unexpected end of JSON input`:           func() (Tool, error) { return NewTool("f", "", json.RawMessage(`{`)) },
	} {
		tool, err := make()
		require.EqualError(t, err, want)
		require.Zero(t, tool)
	}
}

// What is said of a message to a prompt.
func TestMessageLosesAPart(t *testing.T) {
	m := demoModel(t)
	tool, err := NewTool("f", "d", nil)
	require.NoError(t, err)
	text, _, err := m.Text().Prompt(t.Context(), []Message{
		SystemMessage("s"), UserMessage("u"), {Role: RoleAssistant, Content: "a", ToolCalls: []ToolCall{{"f", `{"x": 1}`}}},
		ToolResult("r"),
		{Role: "tool", Content: "r2"}, {Role: RoleAssistant, Metadata: "f", Content: "{}"}, AssistantMessage("end"),
	}, []Tool{tool}, false)
	require.NoError(t, err)
	require.Contains(t, text, "## f\n\n{")
	require.Contains(t, text,
		"<|system|>\ns<|user|>\nu<|assistant|>\na<|assistant|>f \n{\"x\": "+
			"1}<|observation|>\nr<|observation|>\nr2<|assistant|>f \n{}<|assistant|>\nend")
}
