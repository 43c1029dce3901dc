package cpu

import (
	"unsafe"

	"github.com/glm4-metal/glm4-metal/internal/backend"
)

// fit gives k where it can multiply with m, else nil.
func (k *kernels) fit(m *backend.MatrixData) *kernels {
	if k == nil || m.Rows < 8 || m.Cols%8 != 0 {
		return nil
	}
	return k
}

// multiplyPlain is multiply for weights that are plain numbers: few tokens read them in place, four rows at a time;
// more tokens share rows that are widened once. The last four rows may overlap those before.
func (m *matrix) multiplyPlain(w *worker, x []float32, n, lo, hi int, tile []float32) {
	k, cols, rows := m.kernels, m.Cols, hi-lo
	stride := cols * m.Format.Bits() / 8
	if n <= fewTokens {
		for r := lo; r < hi; r += 4 {
			first := min(r, m.Rows-4)
			for t := range n {
				k.dots[m.Format](&w.eight[0], &m.Data[first*stride], stride, &x[t*cols], cols)
				copy(tile[t*rows+r-lo:(t+1)*rows], w.eight[r-first:4])
			}
		}
		return
	}

	first := min(lo, m.Rows-4)
	wide := max(hi-first, 4)
	var values []float32
	if m.Format == backend.F32 && uintptr(unsafe.Pointer(&m.Data[0]))%4 == 0 {
		values = unsafe.Slice((*float32)(unsafe.Pointer(&m.Data[first*stride])), wide*cols)
	} else {
		values = grow(&w.rows, wide*cols)
		k.widenRows(values, m.Data[first*stride:], m.Format)
	}
	sums := grow(&w.acc, 3*wide)
	t := 0
	for ; t+3 <= n; t += 3 {
		for i := 0; i < wide; i += 4 {
			r := min(i, wide-4)
			k.tile(&sums[r], 4*wide, &values[r*cols], &x[t*cols], cols)
		}
		for i := range 3 {
			copy(tile[(t+i)*rows:(t+i+1)*rows], sums[i*wide+lo-first:])
		}
	}
	for ; t < n; t++ {
		for i := 0; i < wide; i += 4 {
			r := min(i, wide-4)
			k.dots[backend.F32](&sums[r], (*byte)(unsafe.Pointer(&values[r*cols])), 4*cols, &x[t*cols], cols)
		}
		copy(tile[t*rows:(t+1)*rows], sums[lo-first:])
	}
}

// widenRows widens len(dst) numbers, a multiple of 8.
func (k *kernels) widenRows(dst []float32, src []byte, f backend.Format) {
	if f == backend.F32 {
		widen(dst, src, f)
		return
	}
	k.widen[f](&dst[0], &src[0], len(dst))
}
