package server

import (
	"math"

	"github.com/glm4-metal/glm4-metal/model"
)

// logprobsJSON are the log probabilities of a chat completion's tokens, those of its reasoning and its calls included.
type logprobsJSON struct {
	Content []tokenLogprob `json:"content"`
	Refusal []tokenLogprob `json:"refusal"`
}

type tokenLogprob struct {
	topLogprob
	Top []topLogprob `json:"top_logprobs"`
}

type topLogprob struct {
	Token   string  `json:"token"`
	Logprob float64 `json:"logprob"`
	Bytes   []int   `json:"bytes"`
}

func newTokenLogprob(text *model.Text, t *model.Token) tokenLogprob {
	out := tokenLogprob{newTopLogprob(text, t.ID, t.Logprob), []topLogprob{}}
	for _, top := range t.Top {
		out.Top = append(out.Top, newTopLogprob(text, top.ID, top.Logprob))
	}
	return out
}

func newTopLogprob(text *model.Text, id int32, logprob float32) topLogprob {
	out := topLogprob{text.Decode([]int32{id}), finite(logprob), []int{}}
	for _, b := range text.DecodeBytes([]int32{id}) {
		out.Bytes = append(out.Bytes, int(b))
	}
	return out
}

// finite is a log probability as JSON can have it: OpenAI's API writes -9999 for what cannot be.
func finite(logprob float32) float64 { return math.Max(float64(logprob), -9999) }

// completionLogprobs are those of a completion.
type completionLogprobs struct {
	Tokens        []string             `json:"tokens"`
	TokenLogprobs []float64            `json:"token_logprobs"`
	TopLogprobs   []map[string]float64 `json:"top_logprobs"`
	TextOffset    []int                `json:"text_offset"` // in bytes of the tokens before
}

func (l *completionLogprobs) add(text *model.Text, t *model.Token, offset int) (next int) {
	token := text.Decode([]int32{t.ID})
	l.Tokens = append(l.Tokens, token)
	l.TokenLogprobs = append(l.TokenLogprobs, finite(t.Logprob))
	top := map[string]float64{token: finite(t.Logprob)}
	for _, other := range t.Top {
		top[text.Decode([]int32{other.ID})] = finite(other.Logprob)
	}
	l.TopLogprobs = append(l.TopLogprobs, top)
	l.TextOffset = append(l.TextOffset, offset)
	return offset + len(token)
}
