package model

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// The demo answers on Metal what it answers on the CPU: greedily, drawn on the device, and through the sampler.
func TestDemoAnswersOtherwiseOnMetal(t *testing.T) {
	t.Setenv("GLM4_CPU", "plain")
	reference := demoModel(t, Backend("cpu"))
	on := onMetal(t)
	m := demoModel(t, func(o *loadOptions) { *o = on })
	require.Equal(t, "metal", m.Info().Backend)
	ask := func(m *Model, text string, o Options) (answer []int32, logprobs []float32) {
		s := m.NewSession()
		defer s.Close()
		for tok, err := range s.Generate(context.Background(), text, o) {
			require.NoError(t, err)
			if tok.Token != nil {
				answer, logprobs = append(answer, tok.Token.ID), append(logprobs, tok.Token.Logprob)
			}
		}
		return answer, logprobs
	}
	for text, o := range map[string]Options{
		"<|user|>\n你好":                      {MaxTokens: 64, IgnoreEOS: true},
		"What are you? Tell me everything.": {MaxTokens: 64, IgnoreEOS: true},
		"The sky is":                        {MaxTokens: 40, IgnoreEOS: true, Temperature: 0.9, Seed: 1},
		"从前有一个":                             {MaxTokens: 40, IgnoreEOS: true, Temperature: 2, Seed: 2},
		"1 2 3 4": {MaxTokens: 20, IgnoreEOS: true, Temperature: 1.2, TopP: 0.9, TopK: 50,
			Seed: 3, RepetitionPenalty: 1.1},
		"A text that is scored token by token.": {MaxTokens: 10, IgnoreEOS: true, Logprobs: true, TopLogprobs: 3},
	} {
		want, wantLogprobs := ask(reference, text, o)
		got, logprobs := ask(m, text, o)
		require.Equal(t, want, got, text)
		require.InDeltaSlice(t, wantLogprobs, logprobs, 1e-3, text)
		again, _ := ask(m, text, o)
		require.Equal(t, got, again, "%s, again", text)
	}
}

// A stop token ends an answer while the step after it runs already.
func TestOverrunStaysInTheSession(t *testing.T) {
	onDevices(t, func(t *testing.T, on loadOptions) {
		m := tiny(t, on)
		prompt := randomIDs(20)
		s := m.NewSession()
		defer s.Close()
		free := collect(t, s, prompt, Options{MaxTokens: 12, IgnoreEOS: true})
		m.stops[free[5]] = true
		first := 0
		for free[first] != free[5] {
			first++
		}
		s.Truncate(0)
		require.Equal(t, free[:first], collect(t, s, prompt, Options{MaxTokens: 12}))
		require.Equal(t, FinishStop, s.Result().FinishReason)
		require.True(t, s.Result().Stopped)
		require.Equal(t, free[5], s.Result().StopToken)
		require.Equal(t, len(prompt)+first, s.Len(), "all but the stop token")
		delete(m.stops, free[5])
		longer := append(append([]int32{}, prompt...), free[:first]...)
		require.Equal(t, free[first:], collect(t, s, longer, Options{MaxTokens: 12 - first, IgnoreEOS: true}))
		require.Equal(t, len(longer)-1, s.Result().CachedTokens)
	})
}
