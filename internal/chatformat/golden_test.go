package chatformat

import (
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The goldens are made by scripts/goldens/chatformat/make.py.
type golden struct {
	Versions map[string]string
	Cases    []goldenCase
}

type goldenCase struct {
	Name, Request, Template string
	Prompt                  string
	Error                   string
}

func readGolden(t testing.TB, name string) []goldenCase {
	file, err := os.Open(filepath.Join("testdata", name+".json.gz"))
	require.NoError(t, err)
	defer file.Close()
	z, err := gzip.NewReader(file)
	require.NoError(t, err)
	var g golden
	require.NoError(t, json.NewDecoder(z).Decode(&g))
	require.NotEmpty(t, g.Versions["transformers"])
	return g.Cases
}

func readTemplate(t testing.TB, path string) string {
	data, err := os.ReadFile(filepath.Join("testdata", path+".jinja"))
	require.NoError(t, err)
	return string(data)
}

// parseRequest reads a conversation in the form that transformers takes.
func parseRequest(t testing.TB, request string) ([]Message, Options) {
	var r struct {
		Messages []struct {
			Role, Content    string
			Metadata         string
			ReasoningContent string `json:"reasoning_content"`
			Tools            json.RawMessage
			ToolCalls        []struct {
				Function struct {
					Name      string
					Arguments json.RawMessage
				}
			} `json:"tool_calls"`
		}
		Tools               json.RawMessage
		AddGenerationPrompt bool `json:"add_generation_prompt"`
	}
	require.NoError(t, json.Unmarshal([]byte(request), &r))
	o := Options{AddGenerationPrompt: r.AddGenerationPrompt}
	var err error
	if r.Tools != nil {
		o.Tools, err = ParseTools(r.Tools)
		require.NoError(t, err)
	}
	var messages []Message
	for _, m := range r.Messages {
		message := Message{Role: Role(m.Role), Content: m.Content, Metadata: m.Metadata, Reasoning: m.ReasoningContent}
		if m.Tools != nil {
			message.Tools, err = ParseTools(m.Tools)
			require.NoError(t, err)
		}
		for _, c := range m.ToolCalls {
			message.ToolCalls = append(message.ToolCalls, ToolCall{c.Function.Name, string(c.Function.Arguments)})
		}
		messages = append(messages, message)
	}
	return messages, o
}

var goldenTokens = Tokens{Named: map[string]string{"bos_token": "<s>", "eos_token": "</s>"}}

func fixedClock() time.Time { return time.Date(2025, 4, 14, 9, 5, 7, 0, time.UTC) }

func TestNativePromptDiffersFromTransformers(t *testing.T) {
	for _, name := range Names() {
		f, err := ByName(name)
		require.NoError(t, err)
		require.Equal(t, name, f.Name())
		cases := readGolden(t, name)
		require.GreaterOrEqual(t, len(cases), 60)
		for _, c := range cases {
			messages, o := parseRequest(t, c.Request)
			if name == glm4ChatName {
				o.Tools = nil // its template does not read them
			}
			prompt, err := f.Render(t.Context(), messages, o)
			require.NoError(t, err, "%s: %s", name, c.Name)
			require.Empty(t, c.Error)
			require.Equal(t, c.Prompt, prompt.String(), "%s: %s", name, c.Name)
		}
	}
}

func TestRenderedPromptDiffersFromTransformers(t *testing.T) {
	templates := append(Names(), "foreign/chatml", "foreign/dated-headers", "foreign/instruct-brackets",
		"foreign/tool-tags",
		"foreign/start-of-turn", "foreign/plain-words", "foreign/macros")
	for _, path := range templates {
		f, err := newTemplateFormat(t.Context(), path, readTemplate(t, path), goldenTokens)
		require.NoError(t, err, path)
		f.now = fixedClock
		same, refused := 0, 0
		for _, c := range readGolden(t, filepath.Base(path)) {
			messages, o := parseRequest(t, c.Request)
			prompt, err := f.Render(t.Context(), messages, o)
			if c.Error != "" {
				require.Error(t, err, "%s: %s: %s", path, c.Name, c.Error)
				refused++
				continue
			}
			require.NoError(t, err, "%s: %s", path, c.Name)
			require.Equal(t, c.Prompt, prompt.String(), "%s: %s", path, c.Name)
			same++
		}
		t.Logf("%-26s %d prompts identical, %d refused by both", path, same, refused)
	}
}
