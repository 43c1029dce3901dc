package model

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/glm4-metal/glm4-metal/internal/backend"
)

// LogitsProcessor changes the logits of the next token in place. tokens are the prompt and what was generated so
// far; logits are float32, one for each id of the tokenizer, without the head's padding. Set a logit to -Inf to
// forbid its id.
type LogitsProcessor func(tokens []int32, logits []float32)

// Options say how to generate. The zero value is greedy decoding up to the end of the context.
type Options struct {
	MaxTokens int // tokens to generate at most; 0: until the model stops or the context is full

	// Sampling, in the order of mlx-lm: bias, penalties, processors; then, unless Temperature is 0 (greedy), TopP,
	// MinP and TopK on the probabilities at temperature 1, and a draw at Temperature. One below 1e-20 counts as 0.
	Temperature float64
	TopP        float64 // keep the likeliest ids whose mass reaches TopP; 0 or 1: all
	MinP        float64 // keep ids at least MinP times as likely as the likeliest; 0: all
	TopK        int     // keep the TopK likeliest; 0: all
	Seed        uint64  // the same seed, prompt and options give the same tokens; 0: a random seed

	LogitBias         map[int32]float32 // added to the logits of these ids
	RepetitionPenalty float64           // divides positive and multiplies negative logits of recent ids (Keskar et al. 2019); 0 or 1: off
	PresencePenalty   float64           // subtracted once from the logits of recent ids
	FrequencyPenalty  float64           // subtracted for each time that an id occurred
	PenaltyContext    int               // how many tokens back count as recent; 0: 20, as in mlx-lm
	Processors        []LogitsProcessor

	Logprobs    bool // report the log probability of each token
	TopLogprobs int  // and of this many likeliest ids

	// ParseSpecial has Session.Generate take control tokens in a text, such as <|user|>, for what they name, as Hugging
	// Face's tokenizers do. Otherwise they are plain text. In messages they always are.
	ParseSpecial bool

	Stop      []string // texts that end the answer; they are not part of it
	IgnoreEOS bool     // go on after the model's own stop tokens, for benchmarks

	// MaxReasoning is how many tokens a [Chat]'s answer may reason; then the reasoning is closed as the model would
	// close it, and the answer goes on behind that. 0: no limit; -1: no reasoning at all. What is put in is no part of
	// the Result's completion tokens and is not given to OnToken. Families that do not reason, and a Session, ignore it.
	MaxReasoning int

	// OnPrefill is told how many tokens of the prompt the cache holds: before the first of them is computed, then as
	// often as the device can tell, and at the end, when done is total. It is called in the goroutine of the loop, must
	// return soon, and must not use the model.
	OnPrefill func(done, total int)

	// Of an answer that a Chat generates in parts.
	answered int         // tokens of the answer that the prompt ends with
	enough   func() bool // ends this part behind a token
}

// MaxTopLogprobs is the largest TopLogprobs.
const MaxTopLogprobs = 20

// OptionError says that an option of a generation has a value that it cannot have.
type OptionError struct {
	Option string // in words, such as "temperature" and "max tokens"
	Value  any
	Want   string // what the value must be
}

func (e *OptionError) Error() string {
	return fmt.Sprintf("%s is %v; it must be %s", e.Option, e.Value, e.Want)
}

// Check gives an [OptionError] for the first option that no model could obey. Whether ids belong to a model's vocabulary
// shows when it generates.
func (o *Options) Check() error { return o.check(math.MaxInt32) }

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
	case o.TopLogprobs < 0 || o.TopLogprobs > MaxTopLogprobs:
		return &OptionError{"top logprobs", o.TopLogprobs, fmt.Sprintf("between 0 and %d", MaxTopLogprobs)}
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
		return &OptionError{"stop text", `""`, "of some length"}
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

// Logprob is the natural logarithm of an id's probability at temperature 1, after bias, penalties and processors.
type Logprob struct {
	ID      int32
	Logprob float32
}

// sampler picks ids from logits that the host holds.
type sampler struct {
	o      *Options
	seed   uint64
	ids    []int32 // candidates of a draw
	counts map[int32]int
}

// pick changes logits, one for each id, and gives the next id with the log probabilities that were asked for.
func (s *sampler) pick(tokens []int32, logits []float32, step uint64) (id int32, chosen float32, top []Logprob, err error) {
	o := s.o
	if backend.Infinite(logits[argmax(logits)]) {
		return 0, 0, nil, backend.InfiniteLogit(slices.IndexFunc(logits, backend.Infinite))
	}
	if backend.Equal(logits) {
		return 0, 0, nil, backend.ErrEqualLogits
	}
	for id, bias := range o.LogitBias {
		logits[id] += bias
	}
	s.penalise(tokens, logits)
	for _, p := range o.Processors {
		p(tokens, logits)
	}
	best := argmax(logits)
	switch high := float64(logits[best]); {
	case math.IsNaN(high) || math.IsInf(high, 1):
		return 0, 0, nil, fmt.Errorf("the logit of id %d is %v; a bias, a penalty or a logits processor is broken", best, high)
	case math.IsInf(high, -1):
		return 0, 0, nil, fmt.Errorf("every id is forbidden; a bias or a logits processor leaves nothing to choose")
	}
	id = best
	if !o.greedy() {
		id = s.draw(logits, best, step)
	}
	if o.Logprobs || o.TopLogprobs > 0 {
		norm := logSumExp(logits, best)
		chosen = float32(float64(logits[id]) - norm)
		for _, id := range largest(logits, o.TopLogprobs) {
			top = append(top, Logprob{id, float32(float64(logits[id]) - norm)})
		}
	}
	return id, chosen, top, nil
}

func (s *sampler) penalise(tokens []int32, logits []float32) {
	o := s.o
	repetition := o.RepetitionPenalty != 0 && o.RepetitionPenalty != 1
	if !repetition && o.PresencePenalty == 0 && o.FrequencyPenalty == 0 {
		return
	}
	recent := tokens[max(0, len(tokens)-cmp.Or(o.PenaltyContext, 20)):]
	if s.counts == nil {
		s.counts = map[int32]int{}
	}
	clear(s.counts)
	for _, id := range recent {
		s.counts[id]++
	}
	for id, n := range s.counts {
		if int(id) >= len(logits) {
			continue
		}
		l := float64(logits[id])
		if repetition && l < 0 {
			l *= o.RepetitionPenalty
		} else if repetition {
			l /= o.RepetitionPenalty
		}
		logits[id] = float32(l - o.PresencePenalty - float64(n)*o.FrequencyPenalty)
	}
}

// draw keeps the candidates that TopP, MinP and TopK allow and draws one by the Gumbel-max trick, so that the same
// seed gives the same id here and on the device.
func (s *sampler) draw(logits []float32, best int32, step uint64) int32 {
	o := s.o
	s.ids = s.ids[:0]
	floor := float32(math.Inf(-1))
	if o.MinP > 0 {
		floor = logits[best] + float32(math.Log(o.MinP))
	}
	for i, l := range logits {
		if l >= floor && !math.IsInf(float64(l), -1) {
			s.ids = append(s.ids, int32(i))
		}
	}
	if o.TopK > 0 && o.TopK < len(s.ids) || o.TopP > 0 && o.TopP < 1 {
		slices.SortFunc(s.ids, byLogit(logits))
		if o.TopP > 0 && o.TopP < 1 {
			s.ids = s.ids[:nucleus(logits, s.ids, o.TopP*math.Exp(logSumExp(logits, best)-float64(logits[best])))]
		}
		if o.TopK > 0 {
			s.ids = s.ids[:min(o.TopK, len(s.ids))]
		}
	}
	pick, high, temperature := best, float32(math.Inf(-1)), backend.Temperature(o.Temperature)
	for _, id := range s.ids {
		if v := logits[id]/temperature + backend.Gumbel(s.seed, step, id); v > high {
			pick, high = id, v
		}
	}
	return pick
}

// nucleus counts how many of the ids, likeliest first, it takes to reach the mass, which is relative to the
// likeliest's.
func nucleus(logits []float32, ids []int32, mass float64) int {
	sum := 0.0
	for i, id := range ids {
		sum += math.Exp(float64(logits[id] - logits[ids[0]]))
		if sum >= mass {
			return i + 1
		}
	}
	return len(ids)
}

// byLogit orders ids by falling logit and, where equal, by rising id.
func byLogit(logits []float32) func(a, b int32) int {
	return func(a, b int32) int {
		return cmp.Or(cmp.Compare(logits[b], logits[a]), cmp.Compare(a, b))
	}
}

// largest gives the n ids of the largest logits, largest first.
func largest(logits []float32, n int) []int32 {
	n = min(n, len(logits))
	if n == 0 {
		return nil
	}
	order := byLogit(logits)
	top := make([]int32, 0, n)
	for i := range logits {
		id := int32(i)
		if len(top) == n && order(id, top[n-1]) > 0 {
			continue
		}
		at, _ := slices.BinarySearchFunc(top, id, order)
		top = slices.Insert(top[:min(len(top), n-1)], at, id)
	}
	return top
}

// argmax gives the id of the largest logit, of equals the lowest; a NaN counts as largest, so that it is found.
func argmax(logits []float32) int32 {
	best := 0
	for i, l := range logits {
		if l > logits[best] || l != l {
			best = i
			if l != l {
				break
			}
		}
	}
	return int32(best)
}

// logSumExp is ln Σ exp(logit); the largest is at best.
func logSumExp(logits []float32, best int32) float64 {
	sum := 0.0
	for _, l := range logits {
		sum += math.Exp(float64(l - logits[best]))
	}
	return float64(logits[best]) + math.Log(sum)
}
