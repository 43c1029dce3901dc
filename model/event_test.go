package model

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTokenIsInNoEventOrInTwo(t *testing.T) {
	m := demoModel(t, ChatTemplate("glm-z1-0414"))
	weather, err := NewTool("get_weather", "", nil)
	require.NoError(t, err)
	think, call := written(t, m, "Hm, let me see."), written(t, m, "\nget_weather\n{\"city\": \"北京\"}")
	end, user := written(t, m, "\n</think>\n\nOne moment."), written(t, m, "<|user|>")
	script := slices.Concat(think, end, call, written(t, m, "<|assistant|>"), written(t, m, "\nDone."), user)
	c := m.NewChat(Tools(weather), Generation(Options{Logprobs: true, TopLogprobs: 2,
		Processors: []LogitsProcessor{say(script)}}))
	defer c.Close()
	var ids []int32
	var kinds string
	var answer Message
	for e, err := range c.Send(t.Context(), "Weather?") {
		require.NoError(t, err)
		answer.Add(e)
		set := 0
		if e.Token != nil {
			ids = append(ids, e.Token.ID)
			require.Zero(t, e.Token.Logprob, "the only id")
			require.Equal(t, Logprob{ID: e.Token.ID}, e.Token.Top[0])
			require.True(t, math.IsInf(float64(e.Token.Top[1].Logprob), -1))
		} else {
			kinds += "-"
		}
		for kind, is := range map[string]bool{"r": e.Reasoning != "", "t": e.Text != "", "c": e.Call != nil} {
			if is {
				kinds += kind
				set++
			}
		}
		require.LessOrEqual(t, set, 1)
		require.False(t, e.Malformed)
	}
	require.Equal(t, script[:len(script)-1], ids)
	require.Regexp(t, "^r+t+ct+$", kinds)
	require.Equal(t, Message{Role: RoleAssistant, Reasoning: "Hm, let me see.", Content: "One moment.\nDone.",
		ToolCalls: []ToolCall{{"get_weather", `{"city": "北京"}`}}},
		c.Messages()[1])
	answer.Role = RoleAssistant
	require.Equal(t, answer, c.Messages()[1])
}

func TestMalformedCallPassesForText(t *testing.T) {
	m := demoModel(t)
	weather, err := NewTool("get_weather", "", nil)
	require.NoError(t, err)
	for reply, want := range map[string][]string{
		"\nget_weather\n{'city': 1}":      {"get_weather"},
		"\nget_weather\n{\"city\": \"Par": {"get_weather\n{\"city\": \"Par"},
		"\nget_weather\n{}":               nil,
		"\nget weather":                   nil,
	} {
		script := written(t, m, reply, "<|user|>")
		c := m.NewChat(Tools(weather), Generation(Options{Processors: []LogitsProcessor{say(script)}}))
		var malformed []string
		var ids []int32
		var answer Message
		held := ""
		for e, err := range c.Send(t.Context(), "Weather?") {
			require.NoError(t, err)
			if e.Malformed {
				malformed = append(malformed, e.Text)
			}
			if e.Token != nil {
				ids = append(ids, e.Token.ID)
			} else {
				held += e.Text
			}
			answer.Add(e)
		}
		require.Equal(t, want, malformed, reply)
		require.Equal(t, script[:len(script)-1], ids)
		require.Equal(t, c.Messages()[1].Content, answer.Content)
		if strings.Contains(reply, "'") { // one token brings the malformed piece and the rest
			require.NotEmpty(t, held)
		}
		require.NoError(t, c.Close())
	}
}
