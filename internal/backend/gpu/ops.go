package gpu

import (
	"fmt"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/shaders"
)

// Embed implements [backend.Stream].
func (s *stream) Embed(h, xn backend.Buffer, ids backend.Tokens, n int, table backend.Matrix, norm backend.Norm) {
	s.flushHead()
	w, t := s.weights(table, 0), s.tokens(ids)
	switch {
	case s.err != nil:
		return
	case n <= 0 || n > len(t.ids):
		s.err = fmt.Errorf("metal: cannot embed %d tokens of %d ids", n, len(t.ids))
		return
	}
	add(s, w.variant(shaders.Embed), shaders.EmbedArgs{Width: uint32(w.cols), Vocab: uint32(w.rows), Eps: norm.Eps}, [3]int{n, 1, 1}, 0,
		binding{t.metal, 0}, s.floats(h, 0, n, w.cols), s.floats(xn, 0, n, w.cols), w.data, w.scales, w.biases, s.vector(norm.Weight, w.cols))
	s.narrow(w.cols)
}

// QKV implements [backend.Stream]. It is one dispatch where the three matrices are stored alike, and up to three where
// a checkpoint mixes formats.
func (s *stream) QKV(q backend.Buffer, kv backend.Cache, layer int, xn backend.Buffer, w *backend.QKV, at backend.Span) {
	s.flushHead()
	c := s.cache(kv, layer, at)
	parts := [3]*matrix{s.weights(w.Q, 0), s.weights(w.K, 0), s.weights(w.V, 0)}
	if s.err != nil {
		return
	}
	a, cols := c.attention, parts[0].cols
	rows := [3]int{a.Heads * a.HeadDim, a.KVHeads * a.HeadDim, a.KVHeads * a.HeadDim}
	var biases [3]binding
	var bias uint32
	for i, v := range [3]backend.Vector{w.QBias, w.KBias, w.VBias} {
		s.weights(parts[i], cols)
		if s.err == nil && parts[i].rows != rows[i] {
			s.err = fmt.Errorf("metal: matrix %s has %d rows, the op needs %d", parts[i].name, parts[i].rows, rows[i])
		}
		if (v == nil) != (w.QBias == nil) && s.err == nil {
			s.err = fmt.Errorf("metal: of the biases of %s some are missing", parts[0].name)
		}
		biases[i] = binding{s.d.none, 0}
		if v != nil {
			biases[i], bias = s.vector(v, rows[i]), 1
		}
	}
	if s.err != nil {
		return
	}
	for first, i := 0, 0; i < 3; {
		end, m := first, parts[i]
		for i < 3 && parts[i].stored == m.stored {
			end += rows[i]
			i++
		}
		v := m.variant(shaders.Family{})
		v.constants.KVFormat, v.constants.HeadDim = c.stored, uint32(a.HeadDim)
		for t := range s.parts(at.N, productSeconds(end-first, cols)) {
			v.kernel = shaders.QKV.For(t.n)[m.stored.format]
			add(s, v, shaders.QKVArgs{
				QRows: uint32(rows[0]), KVRows: uint32(rows[1]), Cols: uint32(cols), N: uint32(t.n), Pos: uint32(at.Pos + t.first),
				RotaryDims: uint32(a.RotaryDims), Bias: bias, First: uint32(first), End: uint32(end),
			}, [3]int{end - first, t.n, 1}, t.seconds,
				s.floats(xn, t.first, t.n, cols), s.floats(q, t.first, t.n, rows[0]), c.keys(layer), c.values(layer), binding{c.rope, 0},
				parts[0].data, parts[0].scales, parts[0].biases, parts[1].data, parts[1].scales, parts[1].biases,
				parts[2].data, parts[2].scales, parts[2].biases, biases[0], biases[1], biases[2])
		}
		first = end
	}
}

// cache checks that the layer and the span are inside.
func (s *stream) cache(kv backend.Cache, layer int, at backend.Span) *cache {
	c, ok := kv.(*cache)
	switch {
	case s.err != nil:
	case !ok || c.d != s.d:
		s.err = errForeign
	case layer < 0 || layer >= len(c.layers) || at.Pos < 0 || at.N <= 0 || at.Pos+at.N > c.cap:
		s.err = fmt.Errorf("metal: layer %d, positions %d to %d are outside the cache of %d layers, %d tokens", layer, at.Pos, at.Pos+at.N, len(c.layers), c.cap)
	}
	return c
}

// Out implements [backend.Stream].
func (s *stream) Out(y, a backend.Buffer, w backend.Matrix, n int) {
	s.flushHead()
	m := s.weights(w, 0)
	if s.err == nil {
		s.matmul(y, a, m, 0, n)
	}
}

// Down implements [backend.Stream].
func (s *stream) Down(y, act backend.Buffer, w backend.Matrix, n int) { s.Out(y, act, w, n) }

// matmul writes y[n] = the n rows of x from the first on, times mᵀ.
func (s *stream) matmul(y, x backend.Buffer, m *matrix, first, n int) {
	for t := range s.parts(n, productSeconds(m.rows, m.cols)) {
		add(s, m.variant(shaders.Out.For(t.n)), shaders.MatmulArgs{Rows: uint32(m.rows), Cols: uint32(m.cols), N: uint32(t.n)}, [3]int{m.rows, t.n, 1}, t.seconds,
			s.floats(x, first+t.first, t.n, m.cols), s.floats(y, t.first, t.n, m.rows), m.data, m.scales, m.biases)
	}
}

// GateUp implements [backend.Stream].
func (s *stream) GateUp(act, xn backend.Buffer, w backend.Matrix, n int) {
	s.flushHead()
	m := s.weights(w, 0)
	if s.err != nil {
		return
	}
	ffn := m.rows / 2
	for t := range s.parts(n, productSeconds(m.rows, m.cols)) {
		add(s, m.variant(shaders.GateUp.For(t.n)), shaders.GateUpArgs{FFN: uint32(ffn), Cols: uint32(m.cols), N: uint32(t.n)}, [3]int{ffn, t.n, 1}, t.seconds,
			s.floats(xn, t.first, t.n, m.cols), s.floats(act, t.first, t.n, ffn), m.data, m.scales, m.biases)
	}
}

// AddNorm implements [backend.Stream].
func (s *stream) AddNorm(h, xn, y backend.Buffer, post *backend.Norm, next backend.Norm, n int) {
	s.flushHead()
	if s.err != nil {
		return
	}
	width := next.Weight.Len()
	args := shaders.AddNormArgs{Width: uint32(width), NextEps: next.Eps}
	postWeight := binding{s.d.none, 0}
	if post != nil {
		args.Post, args.PostEps = 1, post.Eps
		postWeight = s.vector(post.Weight, width)
	}
	if width%8 != 0 {
		s.err = fmt.Errorf("metal: a norm of %d numbers: %w, the kernels need a multiple of 8; use the CPU", width, backend.ErrUnsupported)
		return
	}
	add(s, variant{kernel: shaders.AddNorm}, args, [3]int{n, 1, 1}, 0,
		s.floats(h, 0, n, width), s.floats(xn, 0, n, width), s.floats(y, 0, n, width), postWeight, s.vector(next.Weight, width))
	s.narrow(width)
}
