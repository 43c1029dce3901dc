package model

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/glm4-metal/glm4-metal/internal/backend"
)

// LogitsProcessor changes the logits of the next token in place. tokens are the prompt and what was generated so far;
// logits has one for each id below Text.VocabSize. Set a logit to -Inf to forbid its id. It is called in the goroutine
// of the loop, keeps neither slice, and must not use the model.
type LogitsProcessor func(tokens []int32, logits []float32)

// Options say how to generate. The zero value is greedy decoding up to the model's own end of the answer.
type Options struct {
	MaxTokens int      // tokens to generate at most; 0: until the model stops or the context is full
	Stop      []string // texts that end the answer; they are not part of it
	IgnoreEOS bool     // go on after the model's own stop tokens, for benchmarks

	// Sampling, in the order of mlx-lm: bias, penalties, processors; then, unless Temperature is 0 (greedy), TopP,
	// MinP and TopK on the probabilities at temperature 1, and a draw at Temperature. One below 1e-20 counts as 0.
	Temperature float64
	TopP        float64 // keep the likeliest ids whose mass reaches TopP; 0 or 1: all
	MinP        float64 // keep ids at least MinP times as likely as the likeliest; 0: all
	TopK        int     // keep the TopK likeliest; 0: all
	Seed        uint64  // the same seed, prompt and options give the same tokens; 0: a random one, which Result tells

	LogitBias map[int32]float32 // added to the logits of these ids, of which -Inf forbids one
	// divides positive logits of recent ids, multiplies negative ones (Keskar et al. 2019); 0 or 1: off
	RepetitionPenalty float64
	PresencePenalty   float64           // subtracted once from the logits of recent ids
	FrequencyPenalty  float64           // subtracted for each time that a recent id occurred
	PenaltyContext    int               // how many tokens back, of prompt and answer, count as recent; 0: 20, as in mlx-lm
	Processors        []LogitsProcessor // called in this order

	Logprobs    bool // report the log probability of each token
	TopLogprobs int  // and of this many likeliest ids, at most 20

	// ParseSpecial has Session.Generate take control tokens in a text, such as <|user|>, for what they name, as Hugging
	// Face's tokenizers do. Otherwise they are plain text. In the messages of a [Chat] they always are.
	ParseSpecial bool

	// MaxReasoning is how many tokens a [Chat]'s answer may reason; then the reasoning is closed as the model would
	// close it, and the answer goes on behind that. 0: no limit; -1: no reasoning at all. What is put in is no part of
	// the Result's completion tokens, and no event has it. Families that do not reason, and a Session, ignore it.
	MaxReasoning int

	// OnPrefill is told how many tokens of the prompt the cache holds: before the first of them is computed, then as
	// often as the device can tell, and at the end, when done is total. It is called in the goroutine of the loop, must
	// return soon, and must not use the model.
	OnPrefill func(done, total int)
}

// maxTopLogprobs is the largest TopLogprobs, that of OpenAI's API.
const maxTopLogprobs = 20

// Check gives an [*OptionError] for the first option that no model could obey, as a generation would. Whether the ids
// of LogitBias belong to a model's vocabulary shows only there.
func (o Options) Check() error { return o.check(math.MaxInt32) }

func (o *Options) check(vocab int) error {
	switch {
	case o.MaxTokens < 0:
		return &OptionError{"max tokens", o.MaxTokens, "0 (no limit) or more"}
	case !(o.Temperature >= 0) || math.IsInf(o.Temperature, 0):
		return &OptionError{"temperature", o.Temperature, "0 (greedy) or more"}
	case !(o.TopP >= 0 && o.TopP <= 1):
		return &OptionError{"top-p", o.TopP, "between 0 and 1"}
	case !(o.MinP >= 0 && o.MinP <= 1):
		return &OptionError{"min-p", o.MinP, "between 0 and 1"}
	case o.MaxReasoning < -1:
		return &OptionError{"max reasoning", o.MaxReasoning, "-1 (no reasoning), 0 (no limit) or more"}
	case o.TopK < 0:
		return &OptionError{"top-k", o.TopK, "0 (off) or more"}
	case !(o.RepetitionPenalty >= 0) || math.IsInf(o.RepetitionPenalty, 0):
		return &OptionError{"repetition penalty", o.RepetitionPenalty, "0 (off) or more"}
	case math.IsNaN(o.PresencePenalty) || math.IsInf(o.PresencePenalty, 0):
		return &OptionError{"presence penalty", o.PresencePenalty, "a number"}
	case math.IsNaN(o.FrequencyPenalty) || math.IsInf(o.FrequencyPenalty, 0):
		return &OptionError{"frequency penalty", o.FrequencyPenalty, "a number"}
	case o.PenaltyContext < 0:
		return &OptionError{"penalty context", o.PenaltyContext, "0 (the default) or more"}
	case o.TopLogprobs < 0 || o.TopLogprobs > maxTopLogprobs:
		return &OptionError{"top logprobs", o.TopLogprobs, fmt.Sprintf("between 0 and %d", maxTopLogprobs)}
	}
	for id, bias := range o.LogitBias {
		if id < 0 || int(id) >= vocab {
			return &OptionError{"logit bias", fmt.Sprintf("%d=%v", id, bias), fmt.Sprintf("for an id below %d", vocab)}
		}
		if math.IsNaN(float64(bias)) {
			return &OptionError{"logit bias", fmt.Sprintf("%d=NaN", id), "a number"}
		}
	}
	if slices.Contains(o.Stop, "") {
		return &OptionError{"stop text", strconv.Quote(""), "of some length"}
	}
	return nil
}

// greedy tells whether the temperature leaves nothing to chance.
func (o *Options) greedy() bool { return backend.Temperature(o.Temperature) == 0 }

// onDevice tells whether the device can pick the id itself, without the logits coming back.
func (o *Options) onDevice() bool {
	return (o.greedy() || (o.TopP == 0 || o.TopP == 1) && o.MinP == 0 && o.TopK == 0) &&
		len(o.LogitBias) == 0 && (o.RepetitionPenalty == 0 || o.RepetitionPenalty == 1) &&
		o.PresencePenalty == 0 && o.FrequencyPenalty == 0 && len(o.Processors) == 0 && !o.Logprobs && o.TopLogprobs == 0
}
