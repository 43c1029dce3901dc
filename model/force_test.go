package model

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/jsonmask"
)

func weatherTools(t testing.TB) []Tool {
	var tools []Tool
	for _, name := range []string{"get", "get_weather", "查询"} {
		tool, err := NewTool(name, "Looks something up.", nil)
		require.NoError(t, err)
		tools = append(tools, tool)
	}
	return tools
}

// ask gives the answer to a question with a choice.
func ask(t *testing.T, m *Model, o Options, choice ToolChoice, tools []Tool) (Message, Result) {
	t.Helper()
	c := m.NewChat(Tools(tools...))
	defer c.Close()
	return askAgain(t, c, o, choice)
}

func askAgain(t *testing.T, c *Chat, o Options, choice ToolChoice) (Message, Result) {
	t.Helper()
	c.SetOptions(o)
	c.SetToolChoice(choice)
	require.NoError(t, c.Clear())
	var streamed Message
	for e, err := range c.Send(t.Context(), "How is the weather in Paris?") {
		require.NoError(t, err)
		require.False(t, e.Malformed)
		streamed.Add(e)
	}
	require.Len(t, c.Messages(), 2)
	answer := c.Messages()[1]
	streamed.Role = answer.Role
	require.Equal(t, answer, streamed)
	return answer, c.Result()
}

func TestForcedCallIsNone(t *testing.T) {
	tools := weatherTools(t)
	for _, format := range []string{"glm-4-0414", "glm-4-9b-chat", "glm-z1-0414"} {
		c := demoModel(t, ChatTemplate(format)).NewChat(Tools(tools...))
		defer c.Close()
		for _, o := range []Options{
			{MaxTokens: 40, MaxReasoning: -1}, {MaxTokens: 16, MaxReasoning: 4}, {MaxTokens: 60, MaxReasoning: 3, IgnoreEOS: true},
			{Temperature: 1, MaxTokens: 40, MaxReasoning: -1}, {Temperature: 3, MaxTokens: 30, MaxReasoning: 2},
			{Temperature: 30, MaxTokens: 40, MaxReasoning: 5, Stop: []string{"no such text"}},
		} {
			for o.Seed = 1; o.Seed <= 2; o.Seed++ {
				for _, choice := range []ToolChoice{{Mode: ToolRequired}, {Mode: ToolNamed, Name: "get_weather"}} {
					answer, result := askAgain(t, c, o, choice)
					what := fmt.Sprintf("%s %+v %+v: %+v", format, choice, o, answer)
					require.Empty(t, answer.Content, what)
					require.NotEmpty(t, answer.ToolCalls, what)
					require.Equal(t, FinishToolCalls, result.FinishReason, what)
					for _, call := range answer.ToolCalls {
						var arguments map[string]any
						require.NoError(t, json.Unmarshal([]byte(call.Arguments), &arguments), what)
						require.True(t, choice.Name == call.Name || choice.Name == "" &&
							slices.ContainsFunc(tools, func(t Tool) bool { return t.Name == call.Name }), what)
					}
					if choice.Mode == ToolNamed {
						require.Len(t, answer.ToolCalls, 1, what)
					}
				}
			}
		}
	}
}

// scripted gives the answer of a model that wants to write these ids, and whatever else where it may not.
func scripted(t *testing.T, c *Chat, o Options, choice ToolChoice, script []int32) (Message, Result) {
	step := 0
	o.Processors = []LogitsProcessor{func(_ []int32, logits []float32) {
		for i := range logits {
			logits[i] = float32(-i) / 1e6
		}
		if step < len(script) {
			logits[script[step]] = 100
		}
		step++
	}}
	return askAgain(t, c, o, choice)
}

func TestForcedCallIsNotTheModels(t *testing.T) {
	m := demoModel(t, ChatTemplate("glm-4-0414"))
	c := m.NewChat(Tools(weatherTools(t)...))
	defer c.Close()
	required := ToolChoice{Mode: ToolRequired}
	answer, result := scripted(t, c, Options{}, required,
		written(t, m, "get_weather \n{\"city\": [\"Zürich\", {}]}", "<|assistant|>", "查询\n{}", "<|observation|>"))
	require.Equal(t, []ToolCall{{"get_weather", `{"city": ["Zürich", {}]}`}, {"查询", "{}"}}, answer.ToolCalls)
	require.True(t, result.Stopped)

	id, _ := m.text.Special("<|observation|>")
	require.Equal(t, id, result.StopToken)

	answer, result = scripted(t, c, Options{}, ToolChoice{Mode: ToolNamed, Name: "get"}, written(t, m, "{\"a\": 1}"))
	require.Equal(t, []ToolCall{{"get", `{"a": 1}`}}, answer.ToolCalls)
	require.False(t, result.Stopped, "no token is needed to end it")

	// It would rather end its answer at once.
	answer, _ = scripted(t, c, Options{MaxTokens: 30}, required, written(t, m, "<|user|>", "<|user|>"))
	require.NotEmpty(t, answer.ToolCalls)

	// It would rather write the same call for ever.
	answer, result = scripted(t, c, Options{}, required,
		slices.Repeat(written(t, m, "get\n{}", "<|assistant|>"), 2*maxForcedCalls))
	require.Len(t, answer.ToolCalls, maxForcedCalls)
	require.Equal(t, FinishToolCalls, result.FinishReason)
}

func TestForcedCallNeverEnds(t *testing.T) {
	m := demoModel(t, ChatTemplate("glm-4-0414"))
	c := m.NewChat(Tools(weatherTools(t)...))
	defer c.Close()
	for _, text := range []string{" ", "\n", "[", `"`, "\\", "\xe4", "1", "{\"a\":", "t", `"a":[`} {
		for _, max := range []int{3, 4, 11, 90} {
			var script []int32
			for range 20 {
				script = append(script, written(t, m, text)...)
			}
			o := Options{MaxTokens: max}
			answer, result := scripted(t, c, o, ToolChoice{Mode: ToolNamed, Name: "get"},
				append(written(t, m, "{\"a\":["), script...))
			require.Len(t, answer.ToolCalls, 1, "%q, %d tokens: %+v", text, max, answer)
			require.True(t, json.Valid([]byte(answer.ToolCalls[0].Arguments)))
			require.LessOrEqual(t, result.CompletionTokens, max)
		}
	}
}

func TestForcedCallIsWhiteSpace(t *testing.T) {
	m := demoModel(t, ChatTemplate("glm-4-0414"))
	c := m.NewChat(Tools(weatherTools(t)...))
	defer c.Close()
	for _, blank := range []string{" ", "\n"} {
		script := slices.Repeat(written(t, m, blank), maxForcedBlanks+50)
		answer, _ := scripted(t, c, Options{MaxTokens: 2 * maxForcedBlanks}, ToolChoice{Mode: ToolNamed, Name: "get"},
			append(written(t, m, "{"), script...))
		arguments := answer.ToolCalls[0].Arguments[1:]
		require.Equal(t, maxForcedBlanks, len(arguments)-len(strings.TrimLeft(arguments, blank)))
	}
}

func TestForcedCallComesBeforeTheThought(t *testing.T) {
	m := demoModel(t, ChatTemplate("glm-z1-0414"))
	c := m.NewChat(Tools(weatherTools(t)...))
	defer c.Close()
	for _, choice := range []ToolChoice{{Mode: ToolRequired}, {Mode: ToolNamed, Name: "get"}} {
		for text, content := range map[string]string{"Hm.\n</think>\n\nget\n{}": "", "Hm.</think>get\n{}": "",
			"Hm.</think>Ah\nget\n{}": ""} {
			answer, _ := scripted(t, c, Options{MaxTokens: 80}, choice, written(t, m, text, "<|user|>"))
			require.Equal(t, "Hm.", answer.Reasoning)
			require.Len(t, answer.ToolCalls, 1, "%q: %+v", text, answer)
			require.Equal(t, content, answer.Content, text)
		}
	}
}

func TestForcedNameHasNoLineOfItsOwn(t *testing.T) {
	m := demoModel(t, ChatTemplate("glm-z1-0414"))
	c := m.NewChat(Tools(weatherTools(t)...))
	defer c.Close()
	c.SetToolChoice(ToolChoice{Mode: ToolRequired})
	require.NoError(t, c.Add(UserMessage("Hi")))
	for text, allowed := range map[string]string{"</think>": "\n\ng", "</think>\n": "\ng", "</think>\n\n": "g", ">\n\n\n": "g",
		"</think>Ah": "\ng", "</think> ": "\ng"} {
		_, _, force, err := c.prompt(t.Context())
		require.NoError(t, err)
		force.think("Hm.")
		require.NotNil(t, force.thoughts)
		force.think(strings.TrimSuffix("</think>", text[:strings.IndexByte(text, '>')+1]))
		force.think(text)
		require.Nil(t, force.thoughts)
		place := force.call
		for i, want := range []byte(allowed) {
			next, ok := place.step(want)
			require.True(t, ok, "%q at %d", text, i)
			_, other := place.step('\n')
			require.Equal(t, want == '\n', other, "%q at %d", text, i)
			place = next
		}
	}
}

func TestToolChoiceIsNotRefused(t *testing.T) {
	foreign := t.TempDir() + "/template.jinja"
	require.NoError(t, os.WriteFile(foreign, []byte("{% for m in messages %}<|im_start|>{{ m.content }}{% endfor %}"), 0o600))
	for _, c := range []struct {
		template string
		choice   ToolChoice
		tools    []Tool
		want     string
	}{
		{"glm-4-0414", ToolChoice{Mode: ToolRequired}, nil, `tool choice is "required"; it must be auto or none where no tools`},
		{"glm-4-0414", ToolChoice{ToolNamed, "set"}, weatherTools(t), `tool choice is "set"; it must be the name of a declared tool`},
		{"glm-4-0414", ToolChoice{ToolNamed, ""}, []Tool{{}}, `the name of a declared tool`},
		{"glm-4-0414", ToolChoice{"any", ""}, weatherTools(t), `tool choice is "any"; it must be auto ("")`},
		{foreign, ToolChoice{Mode: ToolRequired}, weatherTools(t), `with the chat template "` + foreign},
		{foreign, ToolChoice{ToolNamed, "get"}, weatherTools(t), `auto or none: with the chat template`},
	} {
		chat := demoModel(t, ChatTemplate(c.template)).NewChat(Tools(c.tools...))
		chat.SetToolChoice(c.choice)
		for _, err := range chat.Send(t.Context(), "Hi") {
			option := new(OptionError)
			require.ErrorAs(t, err, &option)
			require.ErrorContains(t, err, c.want)
		}
		require.Equal(t, FinishError, chat.Result().FinishReason)
		require.NoError(t, chat.Close())
	}
}

func TestToolsAreDeclaredToNone(t *testing.T) {
	m := demoModel(t, ChatTemplate("glm-4-0414"))
	c := m.NewChat(Tools(weatherTools(t)...))
	defer c.Close()
	answer, with := scripted(t, c, Options{}, ToolChoice{}, written(t, m, "get\n{}", "<|user|>"))
	require.Len(t, answer.ToolCalls, 1)
	answer, without := scripted(t, c, Options{}, ToolChoice{Mode: ToolNone}, written(t, m, "get\n{}", "<|user|>"))
	require.Equal(t, "get\n{}", answer.Content)
	require.Less(t, without.PromptTokens, with.PromptTokens)
	_, bare := ask(t, m, Options{MaxTokens: 1}, ToolChoice{}, nil)
	require.Equal(t, bare.PromptTokens, without.PromptTokens)
}

func (s idSet) has(id int32) bool { return s[id/64]>>(id%64)&1 == 1 }

// The sets of the kinds of places and what depends on more are together what every token alone is.
func TestMaskForbidsWhatMayCome(t *testing.T) {
	m := demoModel(t)
	masks := &m.text.callMasks
	masks.init(m.text.tokenizer)
	random := rand.New(rand.NewPCG(1, 2))
	var states []jsonmask.State
	for _, text := range []string{"", "{", `{"`, `{"a"`, `{"a":`, `{"a":[`, `{"a":[[1`, `{"a":[{"b":[0.`, `{"a":[{"b":"x\`, `{"a":{"b":tr`,
		`{"a":1e`, `{"a":-`, "{\"a\":\"\xe4", `{"a":"\u0`, `{"a":1,`, `{"a":` + strings.Repeat("1", 199), `{"a":1e23`, `{"a":[1],"b":{}`, `{"a":` + strings.Repeat("[", maxCallDepth-2),
		`{"a":` + strings.Repeat("[", maxCallDepth-1), `{"a":` + strings.Repeat("[", maxCallDepth-1) + "1]"} {
		s, ok := objectText(jsonmask.State{}, text)
		require.True(t, ok, text)
		states = append(states, s)
	}
	for range 200 { // random walks
		s := states[random.IntN(len(states))]
		for range 6 {
			token := masks.tokens[random.IntN(len(masks.tokens))]
			if next, ok := objectText(s, token.text); ok {
				s = next
			}
		}
		states = append(states, s)
	}
	set, want := newIDSet(m.vocab), newIDSet(m.vocab)
	logits := make([]float32, m.vocab)
	for _, s := range states {
		if s.Done() {
			continue
		}
		clear(want)
		for id := range int32(m.vocab) {
			if m.text.tokenizer.IsSpecial(id) {
				continue
			}
			text := m.text.DecodeBytes([]int32{id})
			if _, ok := objectText(s, string(text)); ok && len(text) > 0 {
				want.add(id)
			}
		}
		masks.object(s, set)
		require.Equal(t, want, set, string(s.Completion(nil)))
		for _, missing := range []int{s.Missing() + 2, s.Missing(), s.Missing() - 1, 0} {
			clear(set)
			masks.ending(s, missing, set)
			most, some := max(missing, s.Missing()-1), false
			for _, token := range masks.tokens {
				next, ok := objectText(s, token.text)
				ok = ok && next.Missing() <= most
				if some = some || ok; ok != set.has(token.id) {
					require.Failf(t, "wrong", "%q behind %q, %d", token.text, s.Completion(nil), missing)
				}
			}
			require.True(t, some, "a byte of the shortest rest is a token")
		}

		for i := range logits {
			logits[i] = float32(i)
		}
		want.mask(logits)
		for id, l := range logits {
			if want.has(int32(id)) != (l == float32(id)) || want.has(int32(id)) == math.IsInf(float64(l), -1) {
				require.Failf(t, "wrong", "id %d has %v", id, l)
			}
		}
	}
}

// BenchmarkForcedMask measures a step with a vocabulary of GLM-4's size.
func BenchmarkForcedMask(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	alphabet := []rune("eeeettttaaooiinn  shrdlcumwfgypbvk\"{}[]:,0123456789.-_/\\\nABCDEäöü的一是不了在人有我他")
	masks := &callMasks{}
	seen := map[string]bool{}
	add := func(text string) {
		if !seen[text] {
			seen[text] = true
			masks.tokens = append(masks.tokens, maskToken{text: text, id: int32(len(masks.tokens))})
		}
	}
	for c := range 256 {
		add(string([]byte{byte(c)}))
	}
	for len(masks.tokens) < 151_329 {
		text := make([]rune, 1+random.IntN(8))
		for i := range text {
			text[i] = alphabet[random.IntN(len(alphabet))]
		}
		add(string(text))
	}
	b.Run("order", func(b *testing.B) {
		for b.Loop() {
			(&callMasks{tokens: slices.Clone(masks.tokens)}).order()
		}
	})
	masks.order()
	set, logits := newIDSet(151_343), make([]float32, 151_343)
	for _, text := range []string{`{"a": "x`, `{`, `{"a":[1,`, `{"a":[1`} {
		s, _ := objectText(jsonmask.State{}, text)
		b.Run("first "+text, func(b *testing.B) {
			for b.Loop() {
				clear(masks.sets)
				masks.object(s, set)
			}
		})
		b.Run("set "+text, func(b *testing.B) {
			for b.Loop() {
				masks.object(s, set)
			}
			b.ReportMetric(float64(len(masks.local(s, 0).depends)), "depends")
		})
		b.Run("ending "+text, func(b *testing.B) {
			for b.Loop() {
				clear(set)
				masks.ending(s, 8, set)
			}
		})
		masks.object(s, set)
		b.Run("mask "+text, func(b *testing.B) {
			for b.Loop() {
				set.mask(logits)
			}
		})
	}
}
