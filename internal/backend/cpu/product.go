package cpu

import "github.com/glm4-metal/glm4-metal/internal/backend/cpu/simd"

// taskRows is how many rows one task of a product with n tokens computes.
func (m *matrix) taskRows(n int) int {
	switch {
	case m.kernels == nil:
		return blockRows
	case m.way(n) != gemm:
		return 2 * blockRows // nothing is kept, and tasks cost
	}
	if !m.Format.Quantised() {
		return min(m.panels, mostPanels/2) * simd.PanelRows // they are twice as wide, unpacked
	}
	return m.panels * simd.PanelRows
}

// multiply writes tile[n][hi-lo] = in[n][Cols] · the rows from lo to hi. Every number is summed in the same order
// whatever n is, so a prompt gives the same result in one piece, in chunks and token by token.
func (m *matrix) multiply(w *worker, in *input, lo, hi int, tile []float32) {
	switch {
	case m.kernels == nil:
		m.multiplyGo(w, in.x, in.n, lo, hi, tile)
	case m.Format.Quantised():
		m.multiplyQuantised(w, in, lo, hi, tile)
	default:
		m.multiplyPlain(w, in, lo, hi, tile)
	}
}

// products multiply one input with some matrices, up to three at a time, and allocate nothing.
type products struct {
	*runner
	in    input
	bring inputJob
	parts []productPart
}

// productPart writes y[n][Rows] = in[n][Cols]·mᵀ + bias; the bias may be nil.
type productPart struct {
	y, bias []float32
	m       *matrix
}

// set makes x[n][cols] the input, in the form that m reads.
func (j *products) set(x []float32, n int, m *matrix) {
	if j.in.set(x, n, m.Cols); !j.in.suits(m) {
		j.bring = j.in.bring(m)
		j.run(j.in.n, &j.bring)
	}
}

// add asks for y[n][Rows] = x·mᵀ + bias, which runAll computes; the bias may be nil. What was added before and reads
// x in another form is computed now.
func (j *products) add(y, bias, x []float32, n int, m *matrix) {
	if len(j.parts) > 0 && !j.in.suits(m) {
		j.runAll()
	}
	if len(j.parts) == 0 {
		j.set(x, n, m)
	}
	j.parts = append(j.parts, productPart{y, bias, m})
}

// runAll computes what was added.
func (j *products) runAll() {
	tasks := 0
	for p := range j.parts {
		tasks += j.tasks(p)
	}
	j.runParts(tasks, j, j.onPart)
	clear(j.parts)
	j.parts = j.parts[:0]
}

// multiply writes y[n][Rows] = x[n][Cols] · mᵀ.
func (j *products) multiply(y, x []float32, n int, m *matrix) {
	j.add(y, nil, x, n, m)
	j.runAll()
}

func (j *products) do(w *worker, task int) {
	p := 0
	for ; task >= j.tasks(p); p++ {
		task -= j.tasks(p)
	}
	y, bias, m, n := j.parts[p].y, j.parts[p].bias, j.parts[p].m, j.in.n
	lo := task * m.taskRows(n)
	hi := min(lo+m.taskRows(n), m.Rows)
	rows := hi - lo
	tile := grow(&w.tile, n*rows)
	m.multiply(w, &j.in, lo, hi, tile)
	for t := range n {
		to := y[t*m.Rows+lo : t*m.Rows+hi]
		copy(to, tile[t*rows:(t+1)*rows])
		if bias != nil {
			for i, v := range bias[lo:hi] {
				to[i] += v
			}
		}
	}
}

// tasks of one part.
func (j *products) tasks(part int) int {
	m := j.parts[part].m
	rows := m.taskRows(j.in.n)
	return (m.Rows + rows - 1) / rows
}
