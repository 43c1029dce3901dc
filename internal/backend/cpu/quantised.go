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

func (m *matrix) quantisedKernels() *simd.QuantisedKernels {
	if m.Format.Bits() == 4 {
		return &m.kernels.Q4
	}
	return &m.kernels.Q8
}

// multiplyQuantised is multiply on int16. It works on eight rows at a time; the last eight of a task may begin
// before lo or end behind hi, and what is outside is dropped.
func (m *matrix) multiplyQuantised(w *worker, in *input, lo, hi int, tile []float32) {
	switch in.form.way {
	case gemv:
		m.multiplyGEMV(w, in, lo, hi, tile)
	case gemvs:
		m.multiplyGEMVs(w, in, lo, hi, tile)
	case gemm:
		m.multiplyGEMM(w, in, lo, hi, tile)
	}
}

func (m *matrix) multiplyGEMV(w *worker, in *input, lo, hi int, tile []float32) {
	k, rows, stride := m.quantisedKernels(), hi-lo, m.Cols*m.Format.Bits()/8
	groups := m.Cols / m.GroupSize
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
}

// multiplyGEMVs takes the tokens in passes while the rows are in a cache.
func (m *matrix) multiplyGEMVs(w *worker, in *input, lo, hi int, tile []float32) {
	k, rows, stride := m.quantisedKernels(), hi-lo, m.Cols*m.Format.Bits()/8
	groups, step := m.Cols/m.GroupSize, m.kernels.GEMVsRows
	half := groups * 8
	scale := grow(&w.scale, 2*groups*step)
	y := grow(&w.acc, k.GEMVsTokens*step)
	for r := lo; r < hi; r += step {
		var data [2]*byte // of each eight rows
		for i := range step / 8 {
			first := min(r+8*i, m.Rows-8)
			data[i] = &m.Data[first*stride]
			m.scaleColumns(w, scale[i*half:(i+1)*half], m.Scales, first)
			m.scaleColumns(w, scale[groups*step+i*half:][:half], m.Biases, first)
		}
		for pass := range in.passes {
			begin, end := in.pass(pass)
			k.GEMVs(&y[0], data[0], data[1], stride,
				&in.q[begin*(m.Cols+in.pad)], &in.scale[begin*groups], &in.sum[begin*groups],
				&scale[0], &scale[groups*step], half*4, groups, m.GroupSize, end-begin)
			for t := begin; t < end; t++ {
				to, sums := tile[t*rows+r-lo:(t+1)*rows], y[(t-begin)*step:]
				for i := 0; i < min(step, hi-r); i += 8 {
					skip := r + i - min(r+i, m.Rows-8)
					copy(to[i:], sums[i+skip:i+8])
				}
			}
		}
	}
}

func (m *matrix) multiplyGEMM(w *worker, in *input, lo, hi int, tile []float32) {
	k, rows, stride := m.quantisedKernels(), hi-lo, m.Cols*m.Format.Bits()/8
	groups := m.Cols / m.GroupSize

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
