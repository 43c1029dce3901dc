package gpu

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/backendtest"
	"github.com/glm4-metal/glm4-metal/metal"
	"github.com/glm4-metal/glm4-metal/shaders"
)

func TestEmbedDiffers(t *testing.T) {
	const eps = 1e-5
	for _, c := range []struct {
		format      backend.Format
		group       int
		scales      backend.Format
		rows, width int
		ids         []int32
	}{
		{backend.Q4, 64, backend.BF16, 300, 4096, []int32{299}},
		{backend.Q4, 32, backend.F16, 5, 32, []int32{4, 0, 4, 1, 2, 3, 0}},
		{backend.Q4, 128, backend.F32, 70, 384, []int32{69, 0, 33}},
		{backend.Q8, 64, backend.BF16, 9, 4096, []int32{8, 7, 6, 5, 4, 3, 2, 1, 0}},
		{backend.Q8, 32, backend.F16, 3, 96, []int32{2, 1}},
		{backend.Q8, 128, backend.F32, 2, 6144, []int32{1}},
		{backend.F16, 0, 0, 11, 4096, []int32{10, 3}},
		{backend.BF16, 0, 0, 11, 40, []int32{0, 10}},
		{backend.F32, 0, 0, 3, 4104, []int32{2, 0}},
		{backend.F32, 0, 0, 3, 48, []int32{2, 0}},
	} {
		test := func(counted bool) {
			p := newPair(t, counted)
			m := p.matrix(c.rows, c.width, backendtest.Quantised(c.format, c.group, c.scales))
			norm := p.vector(p.floats(c.width, 1))
			ids := p.tokens(c.ids)
			n := len(c.ids)
			inOrders(t, func() {
				h, xn := p.empty((n+1)*c.width), p.empty((n+1)*c.width)
				p.run(func(s backend.Stream, i int) {
					s.Embed(h[i], xn[i], ids[i], n, m[i], backend.Norm{Weight: norm[i], Eps: eps})
				})
				p.close(h, "h of %v", c)
				p.close(xn, "xn of %v", c)
			})
		}
		test(false)
		if c.width < 4096 {
			test(true)
		}
	}
}

func TestEmbedLosesSpecialNumbers(t *testing.T) {
	p := newPair(t, false)
	const rows, width = 5, 32
	minusZero := float32(math.Copysign(0, -1))
	data := p.Matrix(rows, width, backendtest.Quantised(backend.Q4, 32, backend.F16))
	data.Scales = backendtest.Encode([]float32{0, 6e-8, 6e4, -1, minusZero}, backend.F16)
	data.Biases = backendtest.Encode([]float32{minusZero, 6e-8, -6e4, 0, 0.5}, backend.F16)
	m := p.place(data)
	norm := p.vector(p.floats(width, 1))
	h, xn, ids := p.empty(rows*width), p.empty(rows*width), p.tokens([]int32{0, 1, 2, 3, 4})
	p.run(func(s backend.Stream, i int) {
		s.Embed(h[i], xn[i], ids[i], rows, m[i], backend.Norm{Weight: norm[i], Eps: 1e-5})
	})
	require.Equal(t, h[0].Floats(), h[1].Floats())
	for row := range rows {
		p.closeFloats(xn[0].Floats()[row*width:][:width], xn[1].Floats()[row*width:][:width], "xn of row %d", row)
	}
}

func TestEmbedReadsOutsideTheVocabulary(t *testing.T) {
	p := newPair(t, true)
	const width = 64
	m := p.matrix(3, width, backendtest.Quantised(backend.Q4, 32, backend.F16))
	norm := p.vector(p.floats(width, 1))
	h, xn := p.empty(4*width), p.empty(4*width)
	ids := p.tokens([]int32{-1, 3, math.MaxInt32, math.MinInt32})
	copy(ids[0].IDs(), []int32{0, 0, 0, 0})
	p.run(func(s backend.Stream, i int) {
		s.Embed(h[i], xn[i], ids[i], 4, m[i], backend.Norm{Weight: norm[i], Eps: 1e-5})
	})
	p.close(h, "h")
	p.close(xn, "xn")
}

func TestAddNormDiffers(t *testing.T) {
	type rows struct {
		width, n int
		post     bool
		scale    float32
	}
	for _, counted := range []bool{false, true} {
		p := newPair(t, counted)
		for _, c := range []rows{
			{4096, 1, true, 1}, {4096, 1, false, 1}, {4096, 3, true, 1e6}, {4096, 2, false, 1e6}, {32, 5, true, 1},
			{40, 2, false, 1},
			{4104, 2, true, 1}, {6144, 2, false, 1}, {13696, 3, true, 1e6}, {64, 600, true, 1}, {128, 1, true, 1e-30}, {128, 2, true, 0},
		} {
			if counted && c.width*c.n > 5000 {
				continue
			}
			h0, y0 := p.floats(c.n*c.width, c.scale), p.floats(c.n*c.width, 3*c.scale)
			minusZero := float32(math.Copysign(0, -1))
			y0[0], h0[1], y0[1] = minusZero, minusZero, minusZero
			post, next := p.vector(p.floats(c.width, 1)), p.vector(p.floats(c.width, 1))
			inOrders(t, func() {
				h, y, xn := p.buffer(h0), p.buffer(y0), p.empty((c.n+1)*c.width)
				p.run(func(s backend.Stream, i int) {
					var norm *backend.Norm
					if c.post {
						norm = &backend.Norm{Weight: post[i], Eps: 1e-6}
					}
					s.AddNorm(h[i], xn[i], y[i], norm, backend.Norm{Weight: next[i], Eps: 1e-5}, c.n)
				})
				p.close(h, "h of %+v", c)
				p.close(xn, "xn of %+v", c)
			})
		}
	}
}

func TestNoiseDiffers(t *testing.T) {
	source, err := shaders.Source("rows")
	require.NoError(t, err)
	p := newTrial(t, source+
		`[[kernel]] void noise(constant ulong &key [[buffer(0)]], device float *found [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  found[i] = gumbel(key, i);
}`)
	const n = 200000
	key := backend.GumbelKey(5, 6)
	found := metal.Slice[float32](p.run("noise", metal.Bytes(&key), n, 4*n))
	for id, got := range found {
		want := backend.Gumbel(5, 6, int32(id))
		require.InDelta(t, want, got, 1e-6*max(1, math.Abs(float64(want))), "id %d", id)
	}
}

// The head's own pairs are as many as there are for GLM-4's vocabulary.
func TestPicksOfTheWholeHeadDiffer(t *testing.T) {
	p := newPair(t, false)
	const vocab, width = 151552, 64
	m := p.matrix(vocab, width, backendtest.Quantised(backend.Q4, 32, backend.BF16))
	x, logits, out := p.buffer(p.floats(width, 1)), p.empty(vocab), p.tokens(make([]int32, 3))
	p.run(func(s backend.Stream, i int) {
		for at, temperature := range []float32{0, 0.7, 1.5} {
			s.Head(logits[i], x[i], m[i], 0, 1)
			s.Sample(out[i], at, logits[i], backend.Sampling{Temperature: temperature, Seed: 3, Step: 4, Valid: vocab - 209})
		}
	})
	p.close(logits, "logits")
	require.Equal(t, out[0].IDs(), out[1].IDs())
}
