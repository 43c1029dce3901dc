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
	s.input.set(x, n, m.Cols)
	s.prepare(m)
	s.gateUp = gateUpJob{in: &s.input, rows: m.taskRows(n), out: out, m: m}
	s.runProduct((ffn+s.gateUp.rows-1)/s.gateUp.rows, &s.gateUp)
}

// gateUpJob computes some rows of gate and the same of up, and joins them.
type gateUpJob struct {
	in   *input
	rows int // of a task, of gate and of up
	out  []float32
	m    *matrix
}

func (j *gateUpJob) do(w *worker, task int) {
	n, ffn := j.in.n, j.m.Rows/2
	lo := task * j.rows
	hi := min(lo+j.rows, ffn)
	rows := hi - lo
	tile := grow(&w.tile, 2*n*rows)
	gate, up := tile[:n*rows], tile[n*rows:]
	j.m.multiply(w, j.in, lo, hi, gate)
	j.m.multiply(w, j.in, ffn+lo, ffn+hi, up)
	i := 0
	if k := j.m.kernels; k != nil && len(gate) >= 8 {
		i = len(gate) &^ 7
		k.SiluMul(&gate[0], &up[0], i)
	}
	for ; i < len(gate); i++ {
		gate[i] = silu(gate[i]) * up[i]
	}
	for t := range n {
		copy(j.out[t*ffn+lo:t*ffn+hi], gate[t*rows:(t+1)*rows])
	}
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
		s.multiply(out, x, m, n)
	}
}
