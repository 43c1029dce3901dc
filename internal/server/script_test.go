package server

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/model"
)

// scripted has the model answer a prompt with what write says. It ends with the control token that ends an answer.
func scripted(t testing.TB, write func(prompt string) string) func(*Options) {
	text, err := model.OpenText(t.Context(), "", "")
	require.NoError(t, err)
	control := func(name string) int32 {
		id, ok := text.Special(name)
		require.True(t, ok)
		return id
	}
	user, observation, assistant := control("<|user|>"), control("<|observation|>"), control("<|assistant|>")
	script := func(tokens []int32, logits []float32) {
		end := 0 // of the prompt: behind the first <|assistant|> that follows what it answers
		for i, id := range tokens {
			switch {
			case id == user, id == observation:
				end = 0
			case id == assistant && end == 0:
				end = i + 1
			}
		}
		answer, err := text.EncodeSpecial(t.Context(), write(text.Decode(tokens[:end])))
		if err != nil {
			panic(err)
		}
		for i := range logits {
			logits[i] = float32(math.Inf(-1))
		}
		logits[answer[len(tokens)-end]] = 0
	}
	return func(o *Options) { o.Defaults.Processors = []model.LogitsProcessor{script} }
}
