package cpu

import (
	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/cpu/simd"
)

// blockRows is how many rows are unpacked at a time and then multiplied with all tokens: 16 rows of the widest GLM-4
// matrix (13696) stay in a core's second-level cache.
const blockRows = 16

// fewTokens is the most tokens that read packed weights directly; more of them share what is unpacked.
const fewTokens = 3

// taskRows is how many rows one task of a product with n tokens computes.
func (m *matrix) taskRows(n int) int {
	switch {
	case m.kernels == nil:
		return blockRows
	case n <= fewTokens:
		return 2 * blockRows // nothing is kept, and tasks cost
	}
	if !m.Format.Quantised() {
		return min(m.panels, mostPanels/2) * simd.PanelRows // they are twice as wide, unpacked
	}
	return m.panels * simd.PanelRows
}

type matrix struct {
	backend.MatrixData
	kernels *simd.Kernels // nil for plain Go
	panels  int           // of a task for many tokens
}

func (m *matrix) Shape() (rows, cols int) { return m.Rows, m.Cols }

// row writes the values of one row to dst[Cols].
func (m *matrix) row(dst []float32, r int) {
	width := m.Cols * m.Format.Bits() / 8
	data := m.Data[r*width : (r+1)*width]
	if !m.Format.Quantised() {
		widen(dst, data, m.Format)
		return
	}
	size := m.GroupSize
	groups := m.Cols / size
	scaleBytes := m.ScaleFormat.Bits() / 8
	at := r * groups * scaleBytes
	var scale, bias [1]float32
	for g := range groups {
		widen(scale[:], m.Scales[at:], m.ScaleFormat)
		widen(bias[:], m.Biases[at:], m.ScaleFormat)
		at += scaleBytes
		out := dst[g*size : (g+1)*size]
		if m.Format == backend.Q8 {
			for i, q := range data[g*size : (g+1)*size] {
				out[i] = affine(scale[0], q, bias[0])
			}
			continue
		}
		var values [16]float32 // all that a group can hold
		for q := range values {
			values[q] = affine(scale[0], byte(q), bias[0])
		}
		for i, b := range data[g*size/2 : (g+1)*size/2] {
			out[2*i] = values[b&15]
			out[2*i+1] = values[b>>4]
		}
	}
}

// affine rounds the product before the sum, as MLX does: the conversion forbids a fused multiply-add.
func affine(scale float32, q byte, bias float32) float32 { return float32(scale*float32(q)) + bias }

// multiply writes tile[n][hi-lo] = in[n][Cols] · the rows from lo to hi. Every number is summed in the same order
// whatever n is, so a prompt gives the same result in one piece, in chunks and token by token.
func (m *matrix) multiply(w *worker, in *input, lo, hi int, tile []float32) {
	switch {
	case m.kernels == nil:
		m.multiplyGo(w, in.x, in.n, lo, hi, tile)
	case m.Format.Quantised():
		m.multiplyQuantised(w, in, lo, hi, tile)
	default:
		m.multiplyPlain(w, in.x, in.n, lo, hi, tile)
	}
}

// multiplyGo is multiply in plain Go.
func (m *matrix) multiplyGo(w *worker, x []float32, n, lo, hi int, tile []float32) {
	cols, rows := m.Cols, hi-lo
	values := grow(&w.rows, rows*cols)
	for r := range rows {
		m.row(values[r*cols:(r+1)*cols], lo+r)
	}
	t := 0
	for ; t+4 <= n; t += 4 {
		x0, x1, x2, x3 := x[t*cols:(t+1)*cols], x[(t+1)*cols:(t+2)*cols], x[(t+2)*cols:(t+3)*cols], x[(t+3)*cols:(t+4)*cols]
		for r := range rows {
			v := values[r*cols : (r+1)*cols]
			tile[t*rows+r], tile[(t+1)*rows+r], tile[(t+2)*rows+r], tile[(t+3)*rows+r] = dot4(v, x0, x1, x2, x3)
		}
	}
	for ; t < n; t++ {
		xt, y := x[t*cols:(t+1)*cols], tile[t*rows:(t+1)*rows]
		r := 0
		for ; r+4 <= rows; r += 4 {
			v := values[r*cols : (r+4)*cols]
			y[r], y[r+1], y[r+2], y[r+3] = dot4(xt, v[:cols], v[cols:2*cols], v[2*cols:3*cols], v[3*cols:])
		}
		for ; r < rows; r++ {
			y[r] = dot(values[r*cols:(r+1)*cols], xt)
		}
	}
}

// productJob multiplies one input with up to three matrices.
type productJob struct {
	in    *input
	parts []productPart
}

// productPart writes y[n][Rows] = in[n][Cols]·mᵀ + bias; the bias may be nil.
type productPart struct {
	y, bias []float32
	m       *matrix
}

func (j *productJob) add(y, bias []float32, m *matrix) {
	j.parts = append(j.parts, productPart{y, bias, m})
}

func (j *productJob) do(w *worker, task int) {
	p := 0
	for ; task >= j.tasks(p); p++ {
		task -= j.tasks(p)
	}
	y, bias, m, n := j.parts[p].y, j.parts[p].bias, j.parts[p].m, j.in.n
	lo := task * m.taskRows(n)
	hi := min(lo+m.taskRows(n), m.Rows)
	rows := hi - lo
	tile := grow(&w.tile, n*rows)
	m.multiply(w, j.in, lo, hi, tile)
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
func (j *productJob) tasks(part int) int {
	m := j.parts[part].m
	rows := m.taskRows(j.in.n)
	return (m.Rows + rows - 1) / rows
}

// runProducts computes what was added to the product job; all its matrices read the input in the same form.
func (s *stream) runProducts() {
	j := &s.product
	j.in = &s.input
	tasks := 0
	for p := range j.parts {
		tasks += j.tasks(p)
	}
	s.runProduct(tasks, j)
	clear(j.parts)
	j.parts = j.parts[:0]
}

// multiply writes y[n][Rows] = x[n][Cols] · mᵀ.
func (s *stream) multiply(y, x []float32, m *matrix, n int) {
	s.input.set(x, n, m.Cols)
	s.prepare(m)
	s.product.add(y, nil, m)
	s.runProducts()
}

// sumColumns is how many products are summed before their sum joins the others: a long sum loses less in two steps.
const sumColumns = 1024

// dot4 multiplies one vector with four that share its loads, each product summed as dot does.
func dot4(a, x0, x1, x2, x3 []float32) (y0, y1, y2, y3 float32) {
	for len(a) > sumColumns {
		z0, z1, z2, z3 := dot4Short(a[:sumColumns], x0, x1, x2, x3)
		y0, y1, y2, y3 = y0+z0, y1+z1, y2+z2, y3+z3
		a, x0, x1, x2, x3 = a[sumColumns:], x0[sumColumns:], x1[sumColumns:], x2[sumColumns:], x3[sumColumns:]
	}
	z0, z1, z2, z3 := dot4Short(a, x0, x1, x2, x3)
	return y0 + z0, y1 + z1, y2 + z2, y3 + z3
}

func dot(a, b []float32) (y float32) {
	for len(a) > sumColumns {
		y += dotShort(a[:sumColumns], b)
		a, b = a[sumColumns:], b[sumColumns:]
	}
	return y + dotShort(a, b)
}

// dot4Short sums in two lanes.
func dot4Short(a, x0, x1, x2, x3 []float32) (y0, y1, y2, y3 float32) {
	n := len(a)
	x0, x1, x2, x3 = x0[:n], x1[:n], x2[:n], x3[:n]
	var z0, z1, z2, z3 float32
	i := 0
	for ; i+2 <= n; i += 2 {
		v, w := a[i], a[i+1]
		y0 += v * x0[i]
		y1 += v * x1[i]
		y2 += v * x2[i]
		y3 += v * x3[i]
		z0 += w * x0[i+1]
		z1 += w * x1[i+1]
		z2 += w * x2[i+1]
		z3 += w * x3[i+1]
	}
	if i < n {
		y0 += a[i] * x0[i]
		y1 += a[i] * x1[i]
		y2 += a[i] * x2[i]
		y3 += a[i] * x3[i]
	}
	return y0 + z0, y1 + z1, y2 + z2, y3 + z3
}

func dotShort(a, b []float32) float32 {
	b = b[:len(a)]
	var y, z float32
	i := 0
	for ; i+2 <= len(a); i += 2 {
		y += a[i] * b[i]
		z += a[i+1] * b[i+1]
	}
	if i < len(a) {
		y += a[i] * b[i]
	}
	return y + z
}
