package backendtest

import (
	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend"
)

// layer is an attention layer with random projections, and the tokens that go through it.
type layer struct {
	*bench
	a                     backend.Attention
	w                     backend.QKV
	x                     []float32 // of all tokens
	queries, keys, values []float64 // what the projections make of it
}

const hidden = 32

func (b *bench) layer(a backend.Attention, bias bool, tokens int) *layer {
	l := &layer{bench: b, a: a, x: b.Floats(tokens*hidden, 0.5)}
	for _, to := range []struct {
		matrix        *backend.Matrix
		bias          *backend.Vector
		heads, rotary int
		values        *[]float64
	}{
		{&l.w.Q, &l.w.QBias, a.Heads, a.RotaryDims, &l.queries},
		{&l.w.K, &l.w.KBias, a.KVHeads, a.RotaryDims, &l.keys},
		{&l.w.V, &l.w.VBias, a.KVHeads, 0, &l.values},
	} {
		rows := to.heads * a.HeadDim
		m, weights := b.matrix(rows, hidden, plain)
		biases := make([]float32, rows)
		if bias {
			biases = b.Floats(rows, 0.5)
			*to.bias = b.vector(biases)
		}
		*to.matrix, *to.values = m, project(l.x, weights, biases, a, to.rotary)
	}
	return l
}

// step computes some tokens, and holds the queries and, of the last ones, the attention against their definitions.
func (l *layer) step(kv backend.Cache, index int, at backend.Span, tolerance float64) {
	l.Helper()
	width, end := l.a.Heads*l.a.HeadDim, at.Pos+at.N
	q, out := l.output(at.N*width), l.output(at.N*width)
	l.s.QKV(q, kv, index, l.buffer(l.x[at.Pos*hidden:end*hidden]), &l.w, at)
	l.s.Attend(out, q, kv, index, at)
	l.run()
	Close(l, l.queries[at.Pos*width:end*width], q.Floats(), 1e-5, "queries of %+v at %+v", l.a, at)
	seen := backend.Span{Pos: max(at.Pos, end-20), N: min(at.N, 20)}
	want, got := Attend(l.queries, l.keys, l.values, l.a, seen), out.Floats()[(at.N-seen.N)*width:]
	Close(l, want, got, tolerance, "attention of %+v at %+v", l.a, at)
}

// halves is what attention loses where keys and values keep 11 bits.
const halves = 1e-3

func (b *bench) attention() {
	for _, c := range []struct {
		heads, kvHeads, dim, rotary int
		bias                        bool
		spans                       []int // tokens of each step
		format                      backend.Format
	}{
		{4, 2, 16, 8, true, []int{1}, backend.F32},
		{4, 4, 6, 6, false, []int{3, 9}, backend.F32},
		{3, 1, 24, 10, false, []int{1, 40, 2}, backend.F16},
		{32, 2, 128, 64, true, []int{20, 1}, backend.F32},
		{32, 2, 128, 64, true, []int{250, 17}, backend.F16}, // over the edge of a block
		{4, 1, 64, 32, false, []int{600, 1, 5}, backend.F16},
	} {
		a := backend.Attention{Heads: c.heads, KVHeads: c.kvHeads, HeadDim: c.dim, RotaryDims: c.rotary, RopeTheta: 10000}
		if a.HeadDim%b.Step != 0 {
			continue
		}
		total, pos, tolerance := 0, 0, 1e-5
		for _, n := range c.spans {
			total += n
		}
		if c.format == backend.F16 {
			tolerance = halves
		}
		l, kv := b.layer(a, c.bias, total), b.cache(2, a, c.format, total)
		for _, n := range c.spans {
			l.step(kv, 1, backend.Span{Pos: pos, N: n}, tolerance)
			pos += n
		}
	}
}

func (b *bench) growth() {
	for _, f := range []backend.Format{backend.F32, backend.F16} {
		a := backend.Attention{Heads: 2, KVHeads: 2, HeadDim: 8, RotaryDims: 4, RopeTheta: 10000}
		l, kv := b.layer(a, false, 600), b.cache(2, a, f, 0)
		require.Zero(b, kv.Cap())
		require.Zero(b, kv.Bytes())
		layers, shape := kv.Shape()
		require.Equal(b, 2, layers)
		require.Equal(b, a, shape)
		for pos := 0; pos < 600; pos += 100 {
			require.NoError(b, kv.Grow(pos+100))
			for index := range 2 {
				l.step(kv, index, backend.Span{Pos: pos, N: 100}, halves)
			}
		}
		require.Equal(b, 768, kv.Cap(), "grows in steps of 256")
		require.EqualValues(b, 768*2*2*16*f.Bits()/8, kv.Bytes())
		require.NoError(b, kv.Grow(10))
		require.Equal(b, 768, kv.Cap())
		require.NoError(b, kv.Close())
	}
}
