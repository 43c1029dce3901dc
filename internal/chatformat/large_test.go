package chatformat

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/jinja"
)

var foreign = []string{"foreign/chatml", "foreign/dated-headers", "foreign/instruct-brackets", "foreign/tool-tags",
	"foreign/start-of-turn", "foreign/plain-words", "foreign/macros"}

func allFormats(t testing.TB) []Format {
	var formats []Format
	for _, name := range Names() {
		formats = append(formats, format(t, name))
	}
	for _, path := range append(Names(), foreign...) {
		formats = append(formats, must(FromTemplate(context.Background(), path, readTemplate(t, path), goldenTokens)))
	}
	return formats
}

func TestLongMessageIsRefused(t *testing.T) {
	long := strings.Repeat("Ordinary text, 普通文本, <|user|> </think>\n", 100_000) // 4.6 MB
	for _, f := range allFormats(t) {
		quickly(t, func() {
			prompt, err := f.Render(t.Context(), []Message{{Role: User, Content: "hi " + long + "end"}},
				Options{AddGenerationPrompt: true})
			require.NoError(t, err, f.Name())
			require.Contains(t, prompt.String(), "end", f.Name())
		})
	}
}

func TestLongConversationIsRefused(t *testing.T) {
	var messages []Message
	for i := range 5000 {
		messages = append(messages, Message{Role: User, Content: fmt.Sprint("Question ", i)},
			Message{Role: Assistant, Content: "An answer.\n"})
	}
	for _, f := range allFormats(t) {
		quickly(t, func() {
			_, err := f.Render(t.Context(), append(messages, Message{Role: User, Content: "?"}),
				Options{AddGenerationPrompt: true})
			require.NoError(t, err, f.Name())
		})
	}
}

func TestManyToolsTakeTheSquare(t *testing.T) {
	var b strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&b, `,{"type": "function", "function": {"name": "tool_%d", "description": "d", "parameters": {"type": "object", "properties": {"a": {"type": "string"}}}}}`, i)
	}
	var tools []Tool
	quickly(t, func() {
		var err error
		tools, err = ParseTools([]byte("[" + b.String()[1:] + "]"))
		require.NoError(t, err)
	})
	messages := []Message{{Role: User, Content: "?"}}
	for _, f := range []Format{format(t, glm4Name), format(t, glm4ChatName),
		must(FromTemplate(t.Context(), glm4Name, readTemplate(t, glm4Name), Tokens{}))} {
		quickly(t, func() {
			_, err := f.Render(t.Context(), messages, Options{Tools: tools, ForceTool: "tool_19999"})
			require.NoError(t, err, f.Name())
			require.Len(t, DeclaredTools(messages, Options{Tools: tools}), 20_000)
		})
	}
	quickly(t, func() {
		reply := strings.Repeat("tool_1999 is no call\ntool_19999 \n{\"a\": \"x\"}\nand text\n", 5000) + "tool_7\n{}"
		got := ParseReply(format(t, glm4Name), "tool_7\n{}", tools)
		require.Equal(t, "tool_7", got.ToolCalls[0].Name)
		require.Equal(t, strings.TrimPrefix(reply, "\n"), ParseReply(format(t, glm4Name), reply+".",
			tools).Content[:len(reply)])
	})
}

func TestLargeJSONTakesTheSquare(t *testing.T) {
	var keys strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&keys, `, "key %d": %d`, i, i)
	}
	quickly(t, func() {
		tools, err := ParseTools([]byte(`[{"name": "f"` + keys.String() + `}]`))
		require.NoError(t, err)
		_, err = format(t, glm4Name).Render(t.Context(), []Message{{Role: User}}, Options{Tools: tools})
		require.NoError(t, err)
		_, err = ParseTools([]byte(`[{"name": "f", "x": ` + strings.Repeat("9", 2_000_000) + `}]`))
		require.ErrorContains(t, err,
			`bad JSON: a number of 2000000 characters, beginning with 99999999999999999999: at most 1000 are read`)
		_, err = ParseTools([]byte(`[{"name": "f", "x": 1.` + strings.Repeat("9", 2_000_000) + `e5}]`))
		require.ErrorContains(t, err, "at most 1000 are read")
		_, err = jinja.ParseJSON([]byte(strings.Repeat(`{"a":[`, 1_000_000)))
		require.ErrorContains(t, err, "nested deeper than 900")
	})
	v, err := jinja.ParseJSON([]byte(strings.Repeat("9", 1000)))
	require.NoError(t, err)
	require.Equal(t, strings.Repeat("9", 1000), jinja.Dump(v, -1))
}

func TestRenderingIgnoresTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	messages := []Message{{Role: System, Tools: toolsNamed("f")}, {Role: User, Content: "?"}}
	for _, f := range allFormats(t) {
		_, err := f.Render(ctx, messages, Options{Tools: toolsNamed("f")})
		require.Equal(t, context.Canceled, err, f.Name())
	}
	for _, path := range append(Names(), foreign...) {
		_, err := Detect(ctx, readTemplate(t, path), Tokens{})
		require.Equal(t, context.Canceled, err, path)
		_, err = FromTemplate(ctx, path, readTemplate(t, path), Tokens{})
		require.Equal(t, context.Canceled, err, path)
	}
}

// A template is rendered when it is opened, to see how replies begin and whether it is its family's.
func TestHostileTemplateIsNotStoppedWhenOpened(t *testing.T) {
	const forEver = "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}"
	quickly(t, func() {
		f, err := Detect(t.Context(), forEver, Tokens{})
		require.NoError(t, err)
		_, err = f.Render(t.Context(), []Message{{Role: User}}, Options{})
		require.EqualError(t, err, `chat template "chat_template": the template asks for too much work`)
		for _, name := range Names() {
			f, err := Detect(t.Context(), readTemplate(t, name)+forEver, Tokens{})
			require.NoError(t, err)
			require.Equal(t, name, f.Name())
		}
	})
}
