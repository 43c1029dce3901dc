package backendtest

import (
	"math"
	"slices"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend"
)

// sample draws once for each way, in one step.
func (b *bench) sample(logits []float32, how ...backend.Sampling) []int32 {
	b.Helper()
	x, out := b.buffer(logits), b.tokens(make([]int32, len(how)+1)...)
	out.IDs()[len(how)] = -7
	for at, h := range how {
		b.s.Sample(out, at, x, h)
	}
	b.run()
	require.EqualValues(b, -7, out.IDs()[len(how)], "a place behind the last")
	return out.IDs()[:len(how)]
}

func (b *bench) ties() {
	infinity, minusZero := float32(math.Inf(1)), float32(math.Copysign(0, -1))
	for _, c := range []struct {
		name   string
		n      int
		logits map[int]float32 // the others are -1
		valid  int
		want   int32
	}{
		{"a vocabulary of one", 2, nil, 1, 0},
		{"a tie far apart", 9000, map[int]float32{8191: 2, 4097: 2, 4096: 2, 300: 1.999}, 9000, 4096},
		{"a tie of neighbours", 5000, map[int]float32{33: 2, 31: 2}, 5000, 31},
		{"0 and -0", 300, map[int]float32{7: 0, 8: minusZero}, 300, 7},
		{"-0 before 0", 300, map[int]float32{7: minusZero, 8: 0}, 300, 7},
		{"a denormal above 0", 300, map[int]float32{7: 0, 8: 1e-42}, 300, 8},
		{"padding is larger", 300, map[int]float32{299: 7, 255: 3}, 299, 255},
		{"the largest number", 5000, map[int]float32{4999: math.MaxFloat32, 17: 1e38}, 5000, 4999},
		{"-infinity", 3, map[int]float32{0: -infinity, 1: -infinity}, 3, 2},
		{"only the last of all differs", 5000, map[int]float32{4999: -2}, 5000, 0},
	} {
		logits := slices.Repeat([]float32{-1}, c.n)
		for id, v := range c.logits {
			logits[id] = v
		}
		require.Equal(b, []int32{c.want}, b.sample(logits, backend.Sampling{Valid: c.valid}), c.name)
	}
}

func (b *bench) distribution() {
	probabilities := []float64{0.5, 0.25, 0.2, 0.05}
	const temperature, draws = 2.0, 1000
	logits := make([]float32, 5)
	for i, p := range probabilities {
		logits[i] = float32(temperature * math.Log(p))
	}
	logits[4] = 100 // padding
	how := make([]backend.Sampling, draws)
	for step := range how {
		how[step] = backend.Sampling{Temperature: temperature, Seed: 7, Step: uint64(step), Valid: 4}
	}
	counts := make([]float64, len(probabilities))
	for _, id := range b.sample(logits, how...) {
		counts[id]++
	}
	for i, p := range probabilities {
		require.InDelta(b, p, counts[i]/draws, 4*math.Sqrt(p*(1-p)/draws), "id %d", i)
	}
}

// draws holds ids against the definition, which leaves a choice only where float32 cannot tell two of them.
func (b *bench) draws() {
	for _, valid := range []int{37, 5000, 151343} {
		logits := b.Floats(valid+209, 3)
		logits[valid] = 100 // padding
		var how []backend.Sampling
		for i := range 4 * 40 / len(logits) * 100 {
			how = append(how, backend.Sampling{Temperature: float32(i%7) / 4, Seed: b.Uint64(), Step: uint64(i), Valid: valid})
		}
		for i := range 6 {
			temperature := []float32{0, 0.7, 1.5}[i%3]
			how = append(how, backend.Sampling{Temperature: temperature, Seed: 42, Step: uint64(i), Valid: valid})
		}
		for i, id := range b.sample(logits, how...) {
			noisy := func(id int) float64 {
				v := float64(logits[id])
				if h := how[i]; h.Temperature > 0 {
					v = v/float64(h.Temperature) + float64(backend.Gumbel(h.Seed, h.Step, int32(id)))
				}
				return v
			}
			require.Less(b, int(id), valid)
			best := math.Inf(-1)
			for other := range valid {
				best = max(best, noisy(other))
			}
			require.GreaterOrEqual(b, noisy(int(id)), best-1e-5*max(1, math.Abs(best)), "%+v: id %d", how[i], id)
		}
	}
}

// refused samples from all logits but the last, which must end with an error.
func (b *bench) refused(logits []float32, temperature float32, want error) {
	b.Helper()
	x, out := b.buffer(logits), b.tokens(0)
	b.s.Sample(out, 0, x, backend.Sampling{Temperature: temperature, Valid: len(logits) - 1})
	_ = b.s.Submit() // tells at once, or the device has not run yet
	require.Equal(b, want, b.s.Wait(0))
}

func (b *bench) brokenLogits() {
	minusZero, infinity := float32(math.Copysign(0, -1)), float32(math.Inf(1))
	for _, temperature := range []float32{0, 0.8} {
		for first, broken := range map[int][]int{0: {0}, 77: {4096, 77}, 5000: {5000}, 3: {9, 5, 3}} {
			logits := b.Floats(5002, 1)
			logits[5001] = float32(math.NaN()) // padding
			for i, id := range broken {
				logits[id] = math.Float32frombits([]uint32{0x7FC00000, 0xFF800001, 0x7F800000}[i])
			}
			b.refused(logits, temperature, backend.InfiniteLogit(first))
		}
		for _, value := range []float32{0, -3.5, -infinity} {
			for _, n := range []int{2, 31, 5000} {
				logits := slices.Repeat([]float32{value}, n+1)
				logits[n] = 1 // padding
				if value == 0 {
					logits[n-1] = minusZero
				}
				b.refused(logits, temperature, backend.ErrEqualLogits)
			}
		}
		how := backend.Sampling{Temperature: temperature, Valid: 2}
		require.Equal(b, []int32{1}, b.sample([]float32{1, 70}, how), "the stream goes on")
	}
}
