package cpu

import (
	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/cpu/simd"
)

// blockRows is how many rows are unpacked at a time and then multiplied with all tokens: 16 rows of the widest GLM-4
// matrix (13696) stay in a core's second-level cache.
const blockRows = 16

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
		switch m.Format {
		case backend.Q8:
			for i, q := range data[g*size : (g+1)*size] {
				out[i] = affine(scale[0], q, bias[0])
			}
		case backend.Q4:
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
}

// affine rounds the product before the sum, as MLX does: the conversion forbids a fused multiply-add.
func affine(scale float32, q byte, bias float32) float32 { return float32(scale*float32(q)) + bias }

// multiplyGo writes tile[n][hi-lo] = x[n][Cols] · the rows from lo to hi, in plain Go.
func (m *matrix) multiplyGo(w *worker, x []float32, n, lo, hi int, tile []float32) {
	cols, rows := m.Cols, hi-lo
	values := grow(&w.rows, rows*cols)
	for r := range rows {
		m.row(values[r*cols:(r+1)*cols], lo+r)
	}
	t := 0
	for ; t+4 <= n; t += 4 {
		x0, x1, x2, x3 := x[t*cols:(t+1)*cols], x[(t+1)*cols:], x[(t+2)*cols:], x[(t+3)*cols:]
		for r := range rows {
			y, v := tile[t*rows+r:], values[r*cols:(r+1)*cols]
			y[0], y[rows], y[2*rows], y[3*rows] = dot4(v, x0, x1, x2, x3)
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
