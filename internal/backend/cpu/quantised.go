package cpu

import (
	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/cpu/simd"
)

// For many tokens, a task unpacks a panel of simd.PanelRows rows and panelColumns columns for each simd.PanelRows of
// its rows. A panel of 16 KiB stays in the first-level cache while panelTokens tokens pass by, whose numbers stay in
// the second-level cache while all panels have their turn. The more panels, the fewer times all tokens come by.
const (
	mostPanels   = 8
	panelColumns = 512
	panelTokens  = 64 // a multiple of every path's GEMMTokens
)

// panels is how many panels a task takes: as many as leave each worker some tasks.
func panels(rows, workers int) int {
	n := mostPanels
	for n > 1 && rows < 4*workers*n*simd.PanelRows {
		n /= 2
	}
	return n
}

// input is what a product multiplies: x[n][cols] and, where its matrix is quantised and has kernels, the same as
// groups of int16.
type input struct {
	x       []float32
	n, cols int

	// The int16 form is cut into blocks of columns, q[cols/block][padded][block] with a last block that may be
	// shorter; scale and sum are cut alike, one number a group.
	q          []int16
	scale, sum []float32
	block      int
	padded     int // n, or for GEMM the next multiple of its tokens; what is behind n is never looked at
	pad        int // numbers behind each token's in q, up to a multiple of simd.GEMVColumns; none for GEMM
	size, form int // of the int16 form; size is 0 when there is none
}

func (in *input) set(x []float32, n, cols int) { in.x, in.n, in.cols, in.size = x, n, cols, 0 }

// suits tells whether m can read the input in the form that it is in.
func (in *input) suits(m *matrix) bool {
	if m.Cols != in.cols {
		return false
	}
	if m.kernels == nil || !m.Format.Quantised() {
		return true
	}
	return in.size == m.GroupSize && in.form == m.form(in.n)
}

// quantise gives the job that brings the input into the form that m reads.
func (in *input) quantise(m *matrix) quantiseJob {
	in.size, in.form = m.GroupSize, m.form(in.n)
	in.block, in.padded, in.pad = in.cols, in.n, -in.cols&(simd.GEMVColumns-1)
	if in.n > fewTokens {
		pass := m.kernels.GEMMTokens
		in.block, in.padded, in.pad = min(panelColumns, in.cols), (in.n+pass-1)/pass*pass, 0
	}
	grow(&in.q, in.padded*(in.cols+in.pad))
	grow(&in.scale, in.padded*in.cols/in.size)
	grow(&in.sum, in.padded*in.cols/in.size)
	return quantiseJob{in, m.kernels}
}

// quantiseJob has a task a token.
type quantiseJob struct {
	in      *input
	kernels *simd.Kernels
}

func (j *quantiseJob) do(_ *worker, t int) {
	in := j.in
	groups := in.padded * in.cols / in.size
	q, scale, sum := in.q[:in.padded*(in.cols+in.pad)], in.scale[:groups], in.sum[:groups]
	for from := 0; from < in.cols; from += in.block {
		n := min(in.block, in.cols-from)
		at := in.padded*from + t*n
		j.kernels.Quantise(&q[at+t*in.pad], &scale[at/in.size], &sum[at/in.size], &in.x[t*in.cols+from],
			n/in.size, in.size, in.form)
	}
}

// form is what the kernels for n tokens read.
func (m *matrix) form(n int) int {
	if n <= fewTokens {
		return m.quantisedKernels().GEMVForm
	}
	return m.quantisedKernels().GEMMForm
}

func (m *matrix) quantisedKernels() *simd.QuantisedKernels {
	if m.Format.Bits() == 4 {
		return &m.kernels.Q4
	}
	return &m.kernels.Q8
}

// multiplyQuantised is multiply on int16. It works on eight rows at a time; the last eight of a task may begin
// before lo or end behind hi, and what is outside is dropped.
func (m *matrix) multiplyQuantised(w *worker, in *input, lo, hi int, tile []float32) {
	k, rows, stride := m.quantisedKernels(), hi-lo, m.Cols*m.Format.Bits()/8
	groups := m.Cols / m.GroupSize
	if in.n <= fewTokens {
		scale := grow(&w.scale, 2*groups*8)
		for r := lo; r < hi; r += 8 {
			first := min(r, m.Rows-8)
			m.scaleColumns(w, scale[:groups*8], m.Scales, first)
			m.scaleColumns(w, scale[groups*8:], m.Biases, first)
			for t := range in.n {
				y, whole := &w.eight[0], r+8 <= hi
				if whole {
					y = &tile[t*rows+r-lo]
				}
				k.GEMV(y, &m.Data[first*stride], stride, &in.q[t*(m.Cols+in.pad)],
					&in.scale[t*groups], &in.sum[t*groups], &scale[0], &scale[groups*8], groups, m.GroupSize)
				if !whole {
					copy(tile[t*rows+r-lo:(t+1)*rows], w.eight[r-first:])
				}
			}
		}
		return
	}

	// The rows in eights, the last of which may overlap the one before, in whole panels; their scales are
	// [eights][groups][8], and so are the biases behind them.
	eights := (rows + simd.PanelRows - 1) / simd.PanelRows * 2
	half := groups * 8
	scale := grow(&w.scale, 2*eights*half)
	for i := range eights {
		first := min(lo+8*i, m.Rows-8)
		m.scaleColumns(w, scale[i*half:(i+1)*half], m.Scales, first)
		m.scaleColumns(w, scale[(eights+i)*half:(eights+i+1)*half], m.Biases, first)
	}
	size := simd.PanelRows * in.block
	panel, acc := grow(&w.panel, eights/2*size), grow(&w.acc, in.padded*eights*8)
	clear(acc)
	for from := 0; from < m.Cols; from += in.block {
		n, group := min(in.block, m.Cols-from), from/m.GroupSize
		for i := range eights {
			first := min(lo+8*i, m.Rows-8)
			k.Panel(&panel[i/2*size+i%2*16], &m.Data[first*stride+from*m.Format.Bits()/8], stride, n)
		}
		for tokens := 0; tokens < in.padded; tokens += panelTokens {
			for i := 0; i < eights; i += 2 {
				sums := acc[i/2*in.padded*simd.PanelRows:]
				wscale, wbias := &scale[i*half+group*8], &scale[(eights+i)*half+group*8]
				for t := tokens; t < min(tokens+panelTokens, in.padded); t += m.kernels.GEMMTokens {
					at := in.padded*from + t*n
					group := at / m.GroupSize
					m.kernels.GEMM(&sums[t*simd.PanelRows], &panel[i/2*size], &in.q[at], &in.scale[group], &in.sum[group],
						wscale, wbias, half*4, n, n/m.GroupSize, m.GroupSize)
				}
			}
		}
	}
	for i := 0; i < eights && lo+8*i < hi; i++ {
		sums := acc[i/2*in.padded*simd.PanelRows+i%2*8:]
		r := lo + 8*i
		if r+8 <= hi {
			for t := range in.n {
				*(*[8]float32)(tile[t*rows+r-lo:]) = *(*[8]float32)(sums[t*simd.PanelRows:])
			}
			continue
		}
		skip := r - min(r, m.Rows-8)
		for t := range in.n {
			copy(tile[t*rows+r-lo:(t+1)*rows], sums[t*simd.PanelRows+skip:][:8-skip])
		}
	}
}

// scaleColumns writes dst[groups][8], the scales or biases of the eight rows from first on.
func (m *matrix) scaleColumns(w *worker, dst []float32, src []byte, first int) {
	groups, size := m.Cols/m.GroupSize, m.ScaleFormat.Bits()/8
	src = src[first*groups*size:]
	if groups >= 8 {
		m.kernels.Columns[m.ScaleFormat](&dst[0], &src[0], groups*size, groups)
		return
	}
	rows := w.few[:8*groups]
	if m.ScaleFormat == backend.F32 {
		widen(rows, src, backend.F32)
	} else {
		m.kernels.Widen[m.ScaleFormat](&rows[0], &src[0], len(rows))
	}
	for r := range 8 {
		for g, v := range rows[r*groups : (r+1)*groups] {
			dst[g*8+r] = v
		}
	}
}
