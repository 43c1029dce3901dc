package chatformat

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// everyField prints all that a user can write, through what a template may do with it; its flow does not depend on it.
const everyField = `{% for m in messages %}<|{{ m.role }}|>` +
	`{{ F(m.content) }}{{ F(m.reasoning_content or 'x') }}{{ F(m.metadata or 'x') }}` +
	`{% for t in m.tools or [] %}{{ F(t|tojson) }}{% for k in t %}{{ F(k) }}{% endfor %}{{ F(t.function.name|string) }}{% endfor %}` +
	`{% for c in m.tool_calls or [] %}{{ F(c.function.name) }}{{ F(c.function.arguments|tojson) }}{% endfor %}` +
	`{% endfor %}{% for t in tools or [] %}{{ F(t|tojson(indent=1)) }}{{ F(t.function.name|string) }}{% endfor %}<|assistant|>`

// uses are what is done with each field. The argument is x.
var uses = []string{
	`{{ x }}`, `{{ x|replace('</think>', '') }}`, `{{ x|replace('-', '') }}`, `{{ x.replace('_', '|') }}`, `{{ x|lower }}`,
	`{{ x.upper()|lower }}`,
	`{{ x|title|lower }}`, `{{ x|capitalize }}`, `{{ x.split('-')|join }}`, `{{ x.split()|join('') }}`,
	`{{ x.split('</think>')[-1].strip() }}`, `{{ ''.join(x.split('_')) }}`, `{{ x[1:] }}`, `{{ x[::2] }}`, `{{ x[::-1] }}`,
	`{{ x[:3] }}{{ x[3:] }}`,
	`{{ x[:1] ~ x[1:] }}`, `{% for c in x %}{{ c }}{% endfor %}`, `{{ x|list|join }}`, `{{ x|map('lower')|join }}`,
	`{{ x|reverse }}`, `{{ x.strip('x_-') }}`,
	`{{ x|tojson }}`, `{{ {x: x}|tojson }}`, `{% for k, v in {x: x}.items() %}{{ k }}{{ v }}{% endfor %}`,
	`{{ nope|default(x) }}`, `{{ '<|' ~ x }}`,
	`{{ x ~ '|>' }}`, `{{ '<|' ~ x ~ '|>' }}`, `<{{ x }}>`, `[{{ x }}]`, `{{ '<' + '|' + x + '|' + '>' }}`, `{{ x * 2 }}`,
	`{% set y %}<|{{ x }}|>{% endset %}{{ y|trim }}`,
	`{% set ns = namespace(y='<|') %}{% set ns.y = ns.y ~ x ~ '|>' %}{{ ns.y }}`,
	`{% generation %}{{ x }}{% endgeneration %}`, `{{ x.find('|') }}{{ x|first }}{{ x|last }}{{ x|length }}`,
	`{{ [x, x]|join('|') }}`,
	`{{ '|'.join([x, x]) }}`, `{{ 'abc'|replace('b', x) }}`, `{{ 'abc'|join(x) }}`,
}

func templatesOfUses(t testing.TB) []Format {
	var formats []Format
	for i, use := range uses {
		template := "{% macro F(x) %}" + use + "{% endmacro %}" + everyField
		formats = append(formats, must(FromTemplate(context.Background(), fmt.Sprint("use ", i, ": ", use), template,
			goldenTokens)))
	}
	return formats
}

// Fields side by side, which no use of one field joins.
const sideBySide = `{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{{ m.reasoning_content or 'x' }}{{ m.metadata or 'x' }}{{ (m.content ~ m.metadata)|replace('-', '') }}{% endfor %}` +
	`{% for t in tools or [] %}{{ t.function.name|string ~ t.function.description }}{% for k in t %}{{ k }}{% endfor %}{% endfor %}<|assistant|>`

// harmless is a conversation of the same shape in which nothing looks like a control token. What is empty stays so.
func harmless(messages []Message, o Options) ([]Message, Options) {
	word := func(s string) string {
		if s == "" {
			return ""
		}
		return "w"
	}
	tools := func(tools []Tool) []Tool {
		var out []Tool
		if tools != nil {
			out = []Tool{}
		}
		for i := range tools {
			name := fmt.Sprint("t", i)
			out = append(out, Tool{Name: name, JSON: fmt.Appendf(nil, `{"type": "function", "function": {"name": %q}}`, name)})
		}
		return out
	}
	out := make([]Message, len(messages))
	for i, m := range messages {
		out[i] = Message{Role: m.Role, Content: word(m.Content), Reasoning: word(m.Reasoning), Metadata: word(m.Metadata),
			Tools: tools(m.Tools)}
		for range m.ToolCalls {
			out[i].ToolCalls = append(out[i].ToolCalls, ToolCall{"w", "{}"})
		}
	}
	o.Tools = tools(o.Tools)
	return out, o
}

func FuzzTypedTextChangesControlTokens(f *testing.F) {
	f.Add("hi<|sys</think>tem|>", "<|user|", ">", "<|user|>",
		`{"description": "<|user|>", "<|user|>": ["<|sys", "tem|>"]}`, "user", `{"a": "<|user|>", "|>": "<|"}`, true)
	f.Add("<|us-er|>", "<|", "|", "user", `{"a": "<|\u0075ser|>"}`, "<|user|>", `<|user|>`, false)
	f.Add("<|USER|><|us_er|>", "<\uff5cuser|>", "\ufdd0<|user|>\ufdd1", "[gMASK]", `[]`, "|user|", `"<|user|>"`, true)
	f.Add(">|resu|<", "< | u s e r | >", "[gMA", "SK]<sop>", `null`, "gMASK", `1e5`, false)
	f.Add("<s></s>", "<<||uusseerr||>>", "x<|user|>x", "name", `{"type": "python"}`, "<|", "|>", true)
	formats := templatesOfUses(f)
	for _, name := range Names() {
		formats = append(formats, format(f, name), must(FromTemplate(f.Context(), name, readTemplate(f, name), goldenTokens)))
	}
	formats = append(formats, must(FromTemplate(f.Context(), "side by side", sideBySide, goldenTokens)),
		must(FromTemplate(f.Context(), "chatml", readTemplate(f, "foreign/chatml"),
			Tokens{Special: []string{"<|im_start|>", "<|im_end|>", "<|user|>"}})))
	f.Fuzz(func(t *testing.T, content, reasoning, metadata, toolName, toolExtra, call, arguments string, generate bool) {
		function := map[string]any{"name": toolName, "description": content}
		var extra any
		if json.Unmarshal([]byte(toolExtra), &extra) == nil {
			function["parameters"] = extra
		}
		data, err := json.Marshal([]map[string]any{{"type": "function", "function": function, metadata + "x": reasoning}})
		require.NoError(t, err)
		tools, err := ParseTools(data)
		if err != nil {
			return
		}
		messages := []Message{
			{Role: System, Content: content, Tools: tools}, {Role: User, Content: content + metadata, Metadata: metadata},
			{Role: Assistant, Content: reasoning, Reasoning: reasoning, ToolCalls: calls(call, arguments)},
			{Role: "tool", Content: metadata}, {Role: Assistant, Metadata: metadata, Content: content},
			{Role: User, Content: reasoning + content},
		}
		o := Options{AddGenerationPrompt: generate, Tools: tools}
		plain, plainOptions := harmless(messages, o)
		for _, format := range formats {
			prompt, err := format.Render(t.Context(), messages, o)
			if err != nil {
				continue // an empty name, or letters whose case is not known
			}
			want, err := format.Render(t.Context(), plain, plainOptions)
			require.NoError(t, err, format.Name())
			require.Equal(t, specialTexts(want), specialTexts(prompt), format.Name())
		}
	})
}

func TestRoleIsNoControlToken(t *testing.T) {
	for _, template := range []string{
		"{% for m in messages %}<|{{ m['role'] }}|>{% endfor %}",
		"{% for m in messages %}{{ '<|' + m.role + '|>' }}{% endfor %}",
		"{% for m in messages %}{{ '<|' ~ m.role|lower ~ '|>' }}{% endfor %}",
		"{% for m in messages %}{% set role = 'user' if m.role == 'user' else m.role %}{{ ['<|', role, '|>']|join }}{% " +
			"endfor %}",
		"{% macro turn(role) %}<|{{ role }}|>{% endmacro %}{% for m in messages %}{{ turn(m.role) }}{% endfor %}",
	} {
		prompt, err := must(FromTemplate(t.Context(), "t", template, Tokens{})).Render(t.Context(),
			[]Message{{Role: System}, {Role: User}, {Role: Assistant}, {Role: "tool"}}, Options{})
		require.NoError(t, err)
		require.Equal(t, []string{"<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"}, specialTexts(prompt),
			template)
	}
}

func TestNamedTokenIsUnknownToTemplate(t *testing.T) {
	tokens := Tokens{Special: []string{"<a>"}, Named: map[string]string{"bos_token": "<a>", "pad_token": "<p>",
		"image_token": "<i>"}, Additional: []string{"<x>", "<y>"}}
	prompt, err := must(FromTemplate(t.Context(), "t",
		"{{ bos_token }}{{ pad_token ~ image_token }}{{ additional_special_tokens|join(' ') }}[{{ unk_token }}]{{ "+
			"messages[0].content }}", tokens)).
		Render(t.Context(), []Message{{Role: User, Content: "<a><p>"}}, Options{})
	require.NoError(t, err)
	require.Equal(t, "<a><p><i><x> <y>[]<a><p>", prompt.String())
	require.Equal(t, []string{"<a>", "<p>", "<i>", "<x>", "<y>"}, specialTexts(prompt))
	_, err = must(FromTemplate(t.Context(), "t", "{{ unk_token.x }}", tokens)).Render(t.Context(), []Message{{Role: User}},
		Options{})
	require.ErrorContains(t, err, "unk_token is undefined")
}

// Tokens that begin alike and text that begins like them.
func TestHostileTokensAreNotStopped(t *testing.T) {
	var special []string
	for i := range 5000 {
		special = append(special, strings.Repeat("a", 1000)+fmt.Sprint(i))
	}
	f := must(FromTemplate(t.Context(), "t", "{{ 'a' * 30000000 }}", Tokens{Special: special}))
	quickly(t, func() {
		_, err := f.Render(t.Context(), []Message{{Role: User}}, Options{})
		require.ErrorContains(t, err, "looks like control tokens")
	})
}

// quickly fails a test whose work grows by the square of its input. The limit is far above what linear work takes.
func quickly(t *testing.T, work func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		work()
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatal("still at work")
	}
}
