package model

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend"
)

// drawn counts how often each id comes when the same logits are sampled again and again.
func drawn(t *testing.T, o Options, probabilities []float64) []float64 {
	t.Helper()
	const draws = 8000
	s := sampler{o: &o, seed: 3}
	counts := make([]float64, len(probabilities))
	for step := range uint64(draws) {
		logits := make([]float32, len(probabilities))
		for i, p := range probabilities {
			logits[i] = float32(math.Log(p))
		}
		id, _, _, err := s.pick(nil, logits, step)
		require.NoError(t, err)
		counts[id] += 1.0 / draws
	}
	return counts
}

func TestFiltersKeepTheWrongIDs(t *testing.T) {
	p := []float64{0.1, 0.4, 0.05, 0.3, 0.15}
	for name, c := range map[string]struct {
		o    Options
		want []float64
	}{
		"all":                      {Options{Temperature: 1}, p},
		"top-k 2":                  {Options{Temperature: 1, TopK: 2}, []float64{0, 4. / 7, 0, 3. / 7, 0}},
		"top-k 1":                  {Options{Temperature: 1, TopK: 1}, []float64{0, 1, 0, 0, 0}},
		"top-k beyond":             {Options{Temperature: 1, TopK: 99}, p},
		"top-p 0.65, reached by 2": {Options{Temperature: 1, TopP: 0.65}, []float64{0, 4. / 7, 0, 3. / 7, 0}},
		"top-p 0.72, reached by 3": {Options{Temperature: 1, TopP: 0.72},
			[]float64{0, 0.4 / 0.85, 0, 0.3 / 0.85, 0.15 / 0.85}},
		"top-p tiny keeps one":    {Options{Temperature: 1, TopP: 1e-9}, []float64{0, 1, 0, 0, 0}},
		"min-p 0.3":               {Options{Temperature: 1, MinP: 0.3}, []float64{0, 0.4 / 0.85, 0, 0.3 / 0.85, 0.15 / 0.85}},
		"min-p then top-k":        {Options{Temperature: 1, MinP: 0.3, TopK: 2}, []float64{0, 4. / 7, 0, 3. / 7, 0}},
		"temperature 0":           {Options{TopK: 3}, []float64{0, 1, 0, 0, 0}},
		"temperature 0.5 squares": {Options{Temperature: 0.5, TopK: 2}, []float64{0, 16. / 25, 0, 9. / 25, 0}},
		"filters before temperature": {Options{Temperature: 5, TopP: 0.65},
			[]float64{0, 1 / (1 + math.Pow(0.75, 0.2)), 0, math.Pow(0.75, 0.2) / (1 + math.Pow(0.75, 0.2)), 0}},
	} {
		got := drawn(t, c.o, p)
		for i := range p {
			if c.want[i] == 0 {
				require.Zero(t, got[i], "%s: id %d", name, i)
				continue
			}
			require.InDelta(t, c.want[i], got[i], 0.023, "%s: id %d", name, i) // four standard deviations of 8000 draws
		}
	}
}

func TestPenaltiesAreWrong(t *testing.T) {
	logits := func() []float32 { return []float32{2, -2, 1, 0.5} }
	tokens := []int32{3, 0, 1, 1}
	for name, c := range map[string]struct {
		o    Options
		want []float32
	}{
		"repetition":      {Options{RepetitionPenalty: 2}, []float32{1, -4, 1, 0.25}},
		"presence":        {Options{PresencePenalty: 0.5}, []float32{1.5, -2.5, 1, 0}},
		"frequency":       {Options{FrequencyPenalty: 0.5}, []float32{1.5, -3, 1, 0}},
		"recent only":     {Options{FrequencyPenalty: 0.5, PenaltyContext: 2}, []float32{2, -3, 1, 0.5}},
		"bias":            {Options{LogitBias: map[int32]float32{2: 3, 0: -1}}, []float32{1, -2, 4, 0.5}},
		"bias, then rest": {Options{LogitBias: map[int32]float32{1: 4}, RepetitionPenalty: 2}, []float32{1, 1, 1, 0.25}},
	} {
		got := logits()
		s := sampler{o: &c.o}
		_, _, _, err := s.pick(tokens, got, 0)
		require.NoError(t, err)
		require.Equal(t, c.want, got, name)
	}
}

func TestLogprobsAreWrong(t *testing.T) {
	o := Options{Logprobs: true, TopLogprobs: 3}
	s := sampler{o: &o}
	p := []float64{0.1, 0.4, 0.05, 0.4, 0.05}
	logits := make([]float32, len(p))
	for i := range p {
		logits[i] = float32(math.Log(p[i])) + 7
	}
	id, chosen, top, err := s.pick(nil, logits, 0)
	require.NoError(t, err)
	require.EqualValues(t, 1, id)
	require.InDelta(t, math.Log(0.4), chosen, 1e-6)
	require.Len(t, top, 3)
	for i, want := range []int32{1, 3, 0} { // of equals the lower id first
		require.Equal(t, want, top[i].ID)
		require.InDelta(t, math.Log(p[want]), top[i].Logprob, 1e-6)
	}
	require.Equal(t, []int32{1, 3, 0, 2, 4}, largest(logits, 99))
}

func TestBrokenLogitsAreSampled(t *testing.T) {
	inf := float32(math.Inf(1))
	nan := float32(math.NaN())
	set := func(to ...float32) []LogitsProcessor {
		return []LogitsProcessor{func(_ []int32, logits []float32) { copy(logits, to) }}
	}
	good := []float32{1, 0, 2}
	for _, c := range []struct {
		logits     []float32
		processors []LogitsProcessor
		want       string
	}{
		{[]float32{1, nan, 2}, set(1, 2, 3),
			"the logit of id 1 is not a finite number; the checkpoint is broken or its weights overflow"},
		{[]float32{1, inf, nan}, nil,
			"the logit of id 1 is not a finite number; the checkpoint is broken or its weights overflow"},
		{[]float32{4, 4, 4}, set(1, 2, 3),
			"the logits of all ids are equal; the checkpoint is broken, such as one whose weights are zeros"},
		{[]float32{-inf, -inf, -inf}, nil,
			"the logits of all ids are equal; the checkpoint is broken, such as one whose weights are zeros"},
		{good, set(1, nan, 2), "the logit of id 1 is NaN; a bias, a penalty or a logits processor is broken"},
		{good, set(1, 0, inf), "the logit of id 2 is +Inf; a bias, a penalty or a logits processor is broken"},
		{good, set(-inf, -inf, -inf), "every id is forbidden; a bias or a logits processor leaves nothing to choose"},
		{good, set(3, 3, 3), ""},
		{[]float32{5}, nil, ""},
	} {
		s := sampler{o: &Options{Temperature: 1, Processors: c.processors}}
		_, _, _, err := s.pick(nil, slices.Clone(c.logits), 0)
		if c.want == "" {
			require.NoError(t, err)
		} else {
			require.EqualError(t, err, c.want)
		}
	}
}

func TestSeedGivesAnotherText(t *testing.T) {
	m := tiny(t, loadOptions{})
	run := func(o Options) []int32 {
		s := m.NewSession()
		defer s.Close()
		o.MaxTokens, o.IgnoreEOS = 40, true
		return collect(t, s, randomIDs(10), o)
	}
	device := run(Options{Temperature: 1, Seed: 42})
	require.Equal(t, device, run(Options{Temperature: 1, Seed: 42}))
	require.NotEqual(t, device, run(Options{Temperature: 1, Seed: 43}))
	require.NotEqual(t, run(Options{Temperature: 1}), run(Options{Temperature: 1}), "without a seed")
	require.False(t, (&Options{Temperature: 1, Seed: 42, TopK: 160}).onDevice())
	require.Equal(t, device, run(Options{Temperature: 1, Seed: 42, TopK: 160}),
		"the host's sampler draws the same as the device")
}

func TestProcessorSeesOtherTokensOrPadding(t *testing.T) {
	m := tiny(t, loadOptions{})
	m.vocab = 150 // as if the tokenizer had fewer tokens than the head has rows
	s := m.NewSession()
	defer s.Close()
	prompt := randomIDs(9)
	var seen [][]int32
	force := func(tokens []int32, logits []float32) {
		require.Len(t, logits, 150)
		seen = append(seen, slices.Clone(tokens))
		for i := range logits {
			if i != 140+len(seen) {
				logits[i] = float32(math.Inf(-1))
			}
		}
	}
	got := collect(t, s, prompt, Options{MaxTokens: 3, IgnoreEOS: true, Processors: []LogitsProcessor{force}})
	require.Equal(t, []int32{141, 142, 143}, got)
	require.Equal(t, [][]int32{prompt, append(slices.Clone(prompt), 141), append(slices.Clone(prompt), 141, 142)}, seen)
}

func TestPaddingIsSampled(t *testing.T) {
	m := tiny(t, loadOptions{})
	all := make(map[int32]bool)
	m.vocab = 8
	for _, o := range []Options{{Temperature: 50, Seed: 1}, {Temperature: 50, Seed: 1, TopK: 150}} {
		s := m.NewSession()
		defer s.Close()
		o.MaxTokens, o.IgnoreEOS = 200, true
		for _, id := range collect(t, s, randomIDs(5), o) {
			require.Less(t, id, int32(8))
			all[id] = true
		}
	}
	require.Len(t, all, 8)
}

func TestGumbelNoiseIsNotGumbel(t *testing.T) {
	const n = 100000
	var sum, squares float64
	for i := range n {
		g := float64(backend.Gumbel(9, uint64(i/100), int32(i%100)))
		require.False(t, math.IsInf(g, 0) || math.IsNaN(g))
		sum += g
		squares += g * g
	}
	mean := sum / n
	require.InDelta(t, 0.5772, mean, 0.02, "Euler's constant")
	require.InDelta(t, math.Pi*math.Pi/6, squares/n-mean*mean, 0.04)
}

func TestStopTokenDoesNotStop(t *testing.T) {
	m := tiny(t, loadOptions{})
	s := m.NewSession()
	defer s.Close()
	prompt := randomIDs(10)
	free := collect(t, s, prompt, Options{MaxTokens: 12, IgnoreEOS: true})
	stop := free[5]
	first := slices.Index(free, stop)
	m.stops = map[int32]bool{stop: true}
	got := collect(t, s, prompt, Options{MaxTokens: 12})
	require.Equal(t, free[:first], got)
	require.Equal(t, FinishStop, s.Result().FinishReason)
	require.True(t, s.Result().Stopped)
	require.Equal(t, stop, s.Result().StopToken)
	require.Equal(t, free, collect(t, s, prompt, Options{MaxTokens: 12, IgnoreEOS: true}))
	require.Equal(t, FinishLength, s.Result().FinishReason)
	require.False(t, s.Result().Stopped)
}
