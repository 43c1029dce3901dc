package model

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// thinking runs an answer that the model would write in these ids, and gives its parts and the context behind it.
func thinking(t *testing.T, m *Model, o Options, script []int32) (reasoning, text string, seen []int32, ids []int32,
	c *Chat) {
	t.Helper()
	c = m.NewChat()
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	write := say(script)
	o.Processors = []LogitsProcessor{func(tokens []int32, logits []float32) {
		seen = append(seen[:0], tokens...)
		write(tokens, logits)
	}}
	c.SetOptions(o)
	for d, err := range c.Send(context.Background(), "2+2?") {
		require.NoError(t, err)
		if d.Token != nil {
			ids = append(ids, d.Token.ID)
		}
		require.True(t, d.Reasoning == "" || text == "", "reasoning behind the answer")
		reasoning += d.Reasoning
		text += d.Text
	}
	require.Equal(t, reasoning, c.Messages()[1].Reasoning)
	require.Equal(t, text, c.Messages()[1].Content)
	return reasoning, text, seen, ids, c
}

func TestReasoningIsNotClosed(t *testing.T) {
	m := demoModel(t, ChatTemplate("glm-z1-0414"))
	thoughts := written(t, m, "Two and two is four, or is it?")
	answer := written(t, m, "Four.", "<|user|>")
	_, prompt, err := m.text.Prompt(t.Context(), []Message{{Role: RoleUser, Content: "2+2?"}}, nil, true)
	require.NoError(t, err)
	for _, n := range []int{1, 3, len(thoughts) - 1} {
		reported := 0
		o := Options{MaxReasoning: n, OnPrefill: func(done, total int) {
			require.Equal(t, len(prompt), total)
			reported++
		}}
		script := slices.Concat(thoughts[:n], answer)
		reasoning, text, seen, ids, c := thinking(t, m, o, script)
		require.Equal(t, m.text.Decode(thoughts[:n]), reasoning)
		require.Equal(t, "Four.", text)
		require.Greater(t, reported, 1)

		r := c.Result()
		require.Equal(t, FinishStop, r.FinishReason)
		require.True(t, r.Stopped)
		require.Equal(t, answer[len(answer)-1], r.StopToken)
		require.Equal(t, len(prompt), r.PromptTokens)
		require.Equal(t, len(script)-1, r.CompletionTokens, "without what was put in")
		require.Equal(t, script[:len(script)-1], ids)
		whole := m.text.Decode(prompt) + m.text.Decode(thoughts[:n]) + "\n</think>\n\nFour."
		require.Equal(t, whole, m.text.Decode(seen), "the model reads the end of its reasoning")
		require.Equal(t, len(prompt)+n+len(m.text.tokenizer.Encode("\n</think>\n\n"))+len(answer)-1, c.Session().Len())
	}

	// One that closes itself in time is left alone.
	script := slices.Concat(thoughts, written(t, m, "\n</think>\n\nFour.", "<|user|>"))
	reasoning, text, _, ids, _ := thinking(t, m, Options{MaxReasoning: 100}, script)
	require.Equal(t, "Two and two is four, or is it?", reasoning)
	require.Equal(t, "Four.", text)
	require.Equal(t, script[:len(script)-1], ids)
}

func TestReasoningIsNotLeftOut(t *testing.T) {
	m := demoModel(t, ChatTemplate("glm-z1-0414"))
	answer := written(t, m, "Four.", "<|user|>")
	reasoning, text, seen, _, c := thinking(t, m, Options{MaxReasoning: -1}, answer)
	require.Empty(t, reasoning)
	require.Equal(t, "Four.", text)
	require.Contains(t, m.text.Decode(seen), "<|assistant|>\n<think>\n</think>\n\nFour.")
	require.Equal(t, len(answer)-1, c.Result().CompletionTokens)
	_, prompt, err := m.text.Prompt(t.Context(), c.Messages()[:1], nil, true)
	require.NoError(t, err)
	require.Equal(t, len(prompt)+len(m.text.tokenizer.Encode("\n</think>\n\n")), c.Result().PromptTokens)
}

// A checkpoint's own template says nothing of the reply's beginning, but knows reasoning.
func TestReasoningThatTheReplyOpensIsNotClosed(t *testing.T) {
	file := t.TempDir() + "/template.jinja"
	require.NoError(t,
		os.WriteFile(file,
			[]byte(`[gMASK]<sop>{% for m in messages %}<|{{ m.role }}|>{{ m.content.split('</think>')[-1] }}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}`), 0o600))
	m := demoModel(t, ChatTemplate(file))
	think, answer := written(t, m, "<think>"), written(t, m, "Four.", "<|user|>")
	thoughts := written(t, m, "Two and two is four, or is it?")
	require.Equal(t, "Two and two is four, or is it?", m.text.Decode(thoughts))
	for _, c := range []struct {
		limit     int
		script    []int32
		reasoning string
	}{
		{-1, slices.Concat(think, answer), ""},
		{2, slices.Concat(think, thoughts[:2], answer), m.text.Decode(thoughts[:2])},
		{2, answer, ""},
		{0, slices.Concat(think, thoughts, written(t, m, "</think>"), answer), m.text.Decode(thoughts)},
	} {
		reasoning, text, _, _, chat := thinking(t, m, Options{MaxReasoning: c.limit}, c.script)
		require.Equal(t, c.reasoning, reasoning)
		require.Equal(t, "Four.", text)
		require.Equal(t, len(c.script)-1, chat.Result().CompletionTokens)
	}
}

func TestLimitOfReasoningOverrunsAnother(t *testing.T) {
	m := demoModel(t, ChatTemplate("glm-z1-0414"))
	thoughts := written(t, m, "Two and two is four, or is it?")
	for _, max := range []int{2, 3} { // before the limit of reasoning, and with it
		_, text, _, ids, c := thinking(t, m, Options{MaxReasoning: 3, MaxTokens: max}, thoughts)
		require.Empty(t, text)
		require.Len(t, ids, max)
		require.Equal(t, FinishLength, c.Result().FinishReason)
	}
	_, text, _, ids, c := thinking(t, m, Options{MaxReasoning: 3, MaxTokens: 5},
		slices.Concat(thoughts[:3], written(t, m, "Five words are too many")))
	require.NotEmpty(t, text)
	require.Len(t, ids, 5)
	require.Equal(t, 5, c.Result().CompletionTokens)
	require.Equal(t, FinishLength, c.Result().FinishReason)

	// A context without room for the end of the reasoning.
	_, prompt, err := m.text.Prompt(t.Context(), []Message{{Role: RoleUser, Content: "2+2?"}}, nil, true)
	require.NoError(t, err)
	m.context = len(prompt) + 5
	_, text, _, ids, c = thinking(t, m, Options{MaxReasoning: 3}, thoughts)
	require.Empty(t, text)
	require.Len(t, ids, 3)
	require.Equal(t, FinishLength, c.Result().FinishReason)
}

// The noise of an answer's second part is not that of its first, and the same seed gives the same answer.
func TestReasoningLimitRepeatsTheNoise(t *testing.T) {
	m := demoModel(t, ChatTemplate("glm-z1-0414"))
	run := func(limit int) []int32 {
		var ids []int32
		c := m.NewChat(Generation(Options{MaxReasoning: limit, MaxTokens: 40, Temperature: 60, Seed: 9, IgnoreEOS: true}))
		defer c.Close()
		for e, err := range c.Send(context.Background(), "2+2?") {
			require.NoError(t, err)
			if e.Token != nil {
				ids = append(ids, e.Token.ID)
			}
		}
		return ids
	}
	free, cut := run(0), run(10)
	require.Equal(t, free[:10], cut[:10])
	require.NotEqual(t, cut[:10], cut[10:20], "at this temperature the noise alone decides")
	require.Equal(t, free[10:20], cut[10:20], "the noise goes on")
	require.Equal(t, cut, run(10))
}

func TestFamilyWithoutReasoningIsLimited(t *testing.T) {
	m := demoModel(t)
	var want string
	for _, limit := range []int{0, -1, 1} {
		c := m.NewChat(Generation(Options{MaxReasoning: limit}))
		got := send(t, c, "Hello")
		require.NoError(t, c.Close())
		if limit == 0 {
			want = got
		}
		require.Equal(t, want, got)
		require.False(t, strings.Contains(got, "think"))
	}
	c := m.NewChat(Generation(Options{MaxReasoning: -2}))
	defer c.Close()
	for _, err := range c.Send(context.Background(), "Hello") {
		require.EqualError(t, err, "max reasoning is -2; it must be -1 (no reasoning), 0 (no limit) or more")
	}
	require.Equal(t, FinishError, c.Result().FinishReason)
	require.Empty(t, c.Messages())
}
