package cpu

// gateUpJob computes some rows of gate and the same of up, and joins them.
type gateUpJob struct {
	in   *input
	rows int // of a task, of gate and of up
	out  []float32
	m    *matrix
}

// gateAndUp writes out[n][Rows/2] = silu(gate)·up.
func (j *gateUpJob) gateAndUp(p *products, out, x []float32, n int, m *matrix) {
	p.set(x, n, m)
	*j = gateUpJob{in: &p.in, rows: m.taskRows(n), out: out, m: m}
	p.runParts((m.Rows/2+j.rows-1)/j.rows, j, p.onPart)
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
	siluMul(j.m.kernels, gate, up)
	for t := range n {
		copy(j.out[t*ffn+lo:t*ffn+hi], gate[t*rows:(t+1)*rows])
	}
}
