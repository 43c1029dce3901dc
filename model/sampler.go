package model

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/glm4-metal/glm4-metal/internal/backend"
)

// sampler picks ids from logits that the host holds.
type sampler struct {
	o      *Options
	seed   uint64
	ids    []int32 // candidates of a draw
	counts map[int32]int
}

// pick changes logits, one for each id, and gives the next id with the log probabilities that were asked for.
func (s *sampler) pick(tokens []int32, logits []float32, step uint64) (id int32, chosen float32, top []Logprob,
	err error) {
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
		return 0, 0, nil, fmt.Errorf("the logit of id %d is %v; a bias, a penalty or a logits processor is broken", best,
			high)
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
