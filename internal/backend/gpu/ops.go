package gpu

import (
	"fmt"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/shaders"
)

// Embed implements [backend.Stream].
func (s *stream) Embed(h, xn backend.Buffer, ids backend.Tokens, n int, table backend.Matrix, norm backend.Norm) {
	s.flushHead()
	w, t := table.(*matrix), ids.(*tokens)
	args := shaders.EmbedArgs{Width: uint32(w.cols), Vocab: uint32(w.rows), Eps: norm.Eps}
	add(s, w.variant(shaders.Embed), args, [3]int{n, 1, 1}, 0,
		binding{t.metal, 0}, floats(h, 0, w.cols), floats(xn, 0, w.cols), w.data, w.scales, w.biases, numbers(norm.Weight))
	s.narrow(w.cols)
}

// QKV implements [backend.Stream]. It is one dispatch where the three matrices are stored alike, and up to three where
// a checkpoint mixes formats.
func (s *stream) QKV(
	q backend.Buffer, kv backend.Cache, layer int, xn backend.Buffer, w *backend.QKV, at backend.Span,
) {
	s.flushHead()
	c, parts := kv.(*cache), [3]*matrix{w.Q.(*matrix), w.K.(*matrix), w.V.(*matrix)}
	a, cols := c.attention, parts[0].cols
	rows := [3]int{parts[0].rows, parts[1].rows, parts[2].rows}
	biases, bias := [3]binding{{s.d.none, 0}, {s.d.none, 0}, {s.d.none, 0}}, uint32(0)
	if w.QBias != nil {
		biases, bias = [3]binding{numbers(w.QBias), numbers(w.KBias), numbers(w.VBias)}, 1
	}
	begin := len(s.list)
	for first, i := 0, 0; i < 3; {
		end, m := first, parts[i]
		for i < 3 && parts[i].stored == m.stored {
			end += rows[i]
			i++
		}
		for t := range s.parts(at.N, productSeconds(end-first, cols)) {
			v := m.product(shaders.QKV, s.tuning, "qkv", end-first, t.n)
			v.constants.KVFormat, v.constants.HeadDim = c.stored, uint32(a.HeadDim)
			add(s, v, shaders.QKVArgs{
				QRows: uint32(rows[0]), KVRows: uint32(rows[1]), Cols: uint32(cols), N: uint32(t.n), Pos: uint32(at.Pos + t.first),
				RotaryDims: uint32(a.RotaryDims), Bias: bias, First: uint32(first), End: uint32(end),
			}, [3]int{end - first, t.n, 1}, t.seconds,
				floats(xn, t.first, cols), floats(q, t.first, rows[0]), c.keys(layer), c.values(layer), binding{c.rope, 0},
				parts[0].data, parts[0].scales, parts[0].biases, parts[1].data, parts[1].scales, parts[1].biases,
				parts[2].data, parts[2].scales, parts[2].biases, biases[0], biases[1], biases[2])
		}
		first = end
	}
	s.apart(begin)
}

// Out implements [backend.Stream].
func (s *stream) Out(y, a backend.Buffer, w backend.Matrix, n int) {
	s.flushHead()
	s.matmul(y, a, w.(*matrix), 0, n)
}

// Down implements [backend.Stream].
func (s *stream) Down(y, act backend.Buffer, w backend.Matrix, n int) { s.Out(y, act, w, n) }

// matmul writes y[n] = the n rows of x from the first on, times mᵀ.
func (s *stream) matmul(y, x backend.Buffer, m *matrix, first, n int) {
	begin := len(s.list)
	for t := range s.parts(n, productSeconds(m.rows, m.cols)) {
		args := shaders.MatmulArgs{Rows: uint32(m.rows), Cols: uint32(m.cols), N: uint32(t.n)}
		add(s, m.product(shaders.Out, s.tuning, "out", m.rows, t.n), args, [3]int{m.rows, t.n, 1}, t.seconds,
			floats(x, first+t.first, m.cols), floats(y, t.first, m.rows), m.data, m.scales, m.biases)
	}
	s.apart(begin)
}

// GateUp implements [backend.Stream].
func (s *stream) GateUp(act, xn backend.Buffer, w backend.Matrix, n int) {
	s.flushHead()
	m := w.(*matrix)
	ffn, begin := m.rows/2, len(s.list)
	for t := range s.parts(n, productSeconds(m.rows, m.cols)) {
		args := shaders.GateUpArgs{FFN: uint32(ffn), Cols: uint32(m.cols), N: uint32(t.n)}
		add(s, m.product(shaders.GateUp, s.tuning, "gate_up", m.rows, t.n), args, [3]int{ffn, t.n, 1}, t.seconds,
			floats(xn, t.first, m.cols), floats(act, t.first, ffn), m.data, m.scales, m.biases)
	}
	s.apart(begin)
}

// AddNorm implements [backend.Stream].
func (s *stream) AddNorm(h, xn, y backend.Buffer, post *backend.Norm, next backend.Norm, n int) {
	s.flushHead()
	width := next.Weight.Len()
	args := shaders.AddNormArgs{Width: uint32(width), NextEps: next.Eps}
	postWeight := binding{s.d.none, 0}
	if post != nil {
		args.Post, args.PostEps = 1, post.Eps
		postWeight = numbers(post.Weight)
	}
	if width%8 != 0 {
		s.Fail(fmt.Errorf("metal: a norm of %d numbers: %w, the kernels need a multiple of 8; use the CPU",
			width, backend.ErrUnsupported))
		return
	}
	add(s, variant{kernel: shaders.AddNorm}, args, [3]int{n, 1, 1}, 0,
		floats(h, 0, width), floats(xn, 0, width), floats(y, 0, width), postWeight, numbers(next.Weight))
	s.narrow(width)
}
