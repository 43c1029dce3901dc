package model

import (
	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/decoder"
)

// meter counts the products of a prompt's steps, which take nearly all of their time, and reports how many tokens that
// makes: behind each of them, and within one where the device tells.
type meter struct {
	backend.Stream // of the step
	report         func(done, total int)

	work        int // of a token: weights that it is multiplied with
	total       int // tokens of the prompt
	done, told  int // tokens before this step, and those that were last reported
	n, products int // tokens of the step, and weights of its ops so far
	now         int // weights of the op that runs
}

func newMeter(w *decoder.Weights, done, total int, report func(done, total int)) *meter {
	m := &meter{report: report, total: total, done: done, told: done}
	for i := range w.Layers {
		l := &w.Layers[i]
		for _, p := range []backend.Matrix{l.QKV.Q, l.QKV.K, l.QKV.V, l.Out, l.GateUp, l.Down} {
			m.work += size(p)
		}
	}
	return m
}

func size(m backend.Matrix) int {
	rows, cols := m.Shape()
	return rows * cols
}

// step takes the ops of the next step, of n tokens, to a stream.
func (m *meter) step(s backend.Stream, n int) *meter {
	m.Stream, m.done, m.n, m.products = s, m.done+m.n, n, 0
	return m
}

// product takes an op that multiplies with some weights.
func (m *meter) product(weights int, op func()) {
	m.now = weights
	op()
	m.products, m.now = m.products+weights, 0
	products := m.products
	m.Mark(func() { m.tell(products) })
}

// part is told of the op that runs.
func (m *meter) part(share float64) { m.tell(m.products + int(share*float64(m.now))) }

func (m *meter) tell(products int) {
	// the end is reported when the step has ended
	if done := m.done + products*m.n/m.work; done > m.told && done < m.total {
		m.told = done
		m.report(done, m.total)
	}
}

func (m *meter) QKV(q backend.Buffer, kv backend.Cache, layer int, xn backend.Buffer, w *backend.QKV, at backend.Span) {
	m.product(size(w.Q)+size(w.K)+size(w.V), func() { m.Stream.QKV(q, kv, layer, xn, w, at) })
}

func (m *meter) Out(y, a backend.Buffer, w backend.Matrix, n int) {
	m.product(size(w), func() { m.Stream.Out(y, a, w, n) })
}

func (m *meter) GateUp(act, xn backend.Buffer, w backend.Matrix, n int) {
	m.product(size(w), func() { m.Stream.GateUp(act, xn, w, n) })
}

func (m *meter) Down(y, act backend.Buffer, w backend.Matrix, n int) {
	m.product(size(w), func() { m.Stream.Down(y, act, w, n) })
}
