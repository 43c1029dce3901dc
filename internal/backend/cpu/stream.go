package cpu

import (
	"errors"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/cpu/simd"
)

type vector []float32

func (v vector) Len() int { return len(v) }

type buffer []float32

func (b buffer) Floats() []float32 { return b }
func (b buffer) Close() error      { return nil }

type tokens []int32

func (t tokens) IDs() []int32 { return t }
func (t tokens) Close() error { return nil }

// stream implements [backend.Ops]. It runs each op at once and keeps the first error, after which an op does nothing.
type stream struct {
	runner
	kernels *simd.Kernels // nil for plain Go

	// What the ops need, kept so that they allocate nothing.
	products products
	qkv      qkv
	attend   attendJob
	gateUp   gateUpJob
	addNorm  addNormJob
}

// Owns implements [backend.Ops]. Devices are not told apart: all memory is the CPU's.
func (s *stream) Owns(object any) bool {
	switch object.(type) {
	case buffer, tokens, vector, *matrix, *cache:
		return true
	}
	return false
}

// Fail implements [backend.Ops].
func (s *stream) Fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

// Embed implements [backend.Stream].
func (s *stream) Embed(h, xn backend.Buffer, ids backend.Tokens, n int, table backend.Matrix, next backend.Norm) {
	if s.err == nil {
		s.err = embed(s.kernels, h.Floats(), xn.Floats(), ids.IDs()[:n], table.(*matrix), normOf(next), s.pool.regions())
	}
}

func normOf(n backend.Norm) norm { return norm{n.Weight.(vector), n.Eps} }

// QKV implements [backend.Stream].
func (s *stream) QKV(
	q backend.Buffer, kv backend.Cache, layer int, xn backend.Buffer, w *backend.QKV, at backend.Span,
) {
	matrices := [3]*matrix{w.Q.(*matrix), w.K.(*matrix), w.V.(*matrix)}
	var biases [3][]float32
	if w.QBias != nil {
		biases = [3][]float32{w.QBias.(vector), w.KBias.(vector), w.VBias.(vector)}
	}
	s.qkv.compute(&s.products, q.Floats(), kv.(*cache), layer, xn.Floats(), matrices, biases, at)
}

// Attend implements [backend.Stream].
func (s *stream) Attend(a, q backend.Buffer, kv backend.Cache, layer int, at backend.Span) {
	c := kv.(*cache)
	s.attend.attention = attention{
		kernels: s.kernels, stop: &s.stopped, out: a.Floats(), q: q.Floats(), keys: &c.keys[layer], values: &c.values[layer],
		at: at, kvHeads: c.attention.KVHeads, group: c.attention.Heads / c.attention.KVHeads,
	}
	s.attend.compute(&s.runner, c.Cap())
}

// Out implements [backend.Stream].
func (s *stream) Out(y, a backend.Buffer, w backend.Matrix, n int) {
	s.products.multiply(y.Floats(), a.Floats(), n, w.(*matrix))
}

// AddNorm implements [backend.Stream].
func (s *stream) AddNorm(h, xn, y backend.Buffer, post *backend.Norm, next backend.Norm, n int) {
	s.addNorm = addNormJob{kernels: s.kernels, h: h.Floats(), x: xn.Floats(), y: y.Floats(), next: normOf(next)}
	if post != nil {
		s.addNorm.post = normOf(*post)
	}
	s.run(n, &s.addNorm)
}

// GateUp implements [backend.Stream].
func (s *stream) GateUp(act, xn backend.Buffer, w backend.Matrix, n int) {
	s.gateUp.gateAndUp(&s.products, act.Floats(), xn.Floats(), n, w.(*matrix))
}

// Down implements [backend.Stream].
func (s *stream) Down(y, act backend.Buffer, w backend.Matrix, n int) { s.Out(y, act, w, n) }

// Head implements [backend.Stream].
func (s *stream) Head(logits, xn backend.Buffer, w backend.Matrix, first, rows int) {
	m := w.(*matrix)
	s.products.multiply(logits.Floats(), xn.Floats()[first*m.Cols:], rows, m)
}

// Sample implements [backend.Stream].
func (s *stream) Sample(out backend.Tokens, at int, logits backend.Buffer, how backend.Sampling) {
	if s.err != nil {
		return
	}
	x := logits.Floats()[:how.Valid]
	best, bad := sample(s.kernels, x, &how)
	switch {
	case bad >= 0:
		s.err = backend.InfiniteLogit(bad)
	case backend.Equal(x):
		s.err = backend.ErrEqualLogits
	default:
		out.IDs()[at] = int32(best)
	}
}

// Mark implements [backend.Stream].
func (s *stream) Mark(f func()) {
	if s.checkStop(); s.err == nil {
		f()
	}
}

// OnPart implements [backend.Stream].
func (s *stream) OnPart(f func(share float64)) { s.onPart = f }

// Submit implements [backend.Stream].
func (s *stream) Submit() error {
	s.checkStop()
	return s.err
}

// Wait implements [backend.Stream].
func (s *stream) Wait(int) error {
	s.checkStop()
	err := s.err
	if s.err = nil; errors.Is(err, backend.ErrStopped) {
		s.stopped.Store(false)
	}
	return err
}

// Stop implements [backend.Stream].
func (s *stream) Stop() { s.stopped.Store(true) }

// Close implements [backend.Stream].
func (s *stream) Close() error { return nil }
