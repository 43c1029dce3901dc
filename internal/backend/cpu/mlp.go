package cpu

import (
	"math"

	"github.com/glm4-metal/glm4-metal/internal/backend"
)

// GateUp implements [backend.Stream].
func (s *stream) GateUp(act, xn backend.Buffer, w backend.Matrix, n int) {
	m := s.weights(w)
	if s.err != nil {
		return
	}
	ffn := m.Rows / 2
	x, out := s.floats(xn, n*m.Cols), s.floats(act, n*ffn)
	if s.err != nil {
		return
	}
	s.pool.run((ffn+blockRows-1)/blockRows, func(w *worker, task int) {
		lo := task * blockRows
		hi := min(lo+blockRows, ffn)
		rows := hi - lo
		tile := grow(&w.tile, 2*n*rows)
		gate, up := tile[:n*rows], tile[n*rows:]
		m.multiply(w, x, n, lo, hi, gate)
		m.multiply(w, x, n, ffn+lo, ffn+hi, up)
		for t := range n {
			for r := range rows {
				out[t*ffn+lo+r] = silu(gate[t*rows+r]) * up[t*rows+r]
			}
		}
	})
}

func silu(x float32) float32 { return x / (1 + float32(math.Exp(-float64(x)))) }

// Down implements [backend.Stream].
func (s *stream) Down(y, act backend.Buffer, w backend.Matrix, n int) { s.Out(y, act, w, n) }

// Out implements [backend.Stream].
func (s *stream) Out(y, a backend.Buffer, w backend.Matrix, n int) {
	m := s.weights(w)
	if s.err != nil {
		return
	}
	x, out := s.floats(a, n*m.Cols), s.floats(y, n*m.Rows)
	if s.err == nil {
		s.product(out, x, m, n)
	}
}
