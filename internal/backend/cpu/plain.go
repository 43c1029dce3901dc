package cpu

import (
	"unsafe"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/cpu/simd"
)

// Products of plain weights add up blocks of plainColumns columns, in order. For such a block, the rows of a task stay
// in the second-level cache, and plainTokens tokens in the first-level cache until all rows have had their turn.
const (
	plainColumns = 512
	plainTokens  = 6
)

// widenTokens is how many tokens make it worth to widen weights once for all of them.
const widenTokens = 32

// fit gives k where it can multiply with m, else nil.
func fit(k *simd.Kernels, m *backend.MatrixData) *simd.Kernels {
	if k == nil || m.Rows < 8 || m.Cols%8 != 0 {
		return nil
	}
	return k
}

// multiplyPlain is multiply for weights that are plain numbers. It works on four rows at a time; the last four of a
// task may begin before lo or end behind hi, and what is outside is dropped.
func (m *matrix) multiplyPlain(w *worker, in *input, lo, hi int, tile []float32) {
	n, rows, wide := in.n, hi-lo, (hi-lo+3)&^3
	acc := tile
	if wide != rows {
		acc = grow(&w.acc, n*wide)
	}
	acc = acc[:n*wide]
	clear(acc)
	switch m.way(n) {
	case gemv:
		m.addRows(acc, in.x, 1, lo, wide)
	case gemvs:
		m.addRows(acc, in.blocks, n, lo, wide)
	case gemm:
		m.addBlocks(w, acc, in.x, n, lo, wide)
	}
	if wide != rows {
		last := rows &^ 3
		skip := lo + last - min(lo+last, m.Rows-4)
		for t := range n {
			to, from := tile[t*rows:(t+1)*rows], acc[t*wide:(t+1)*wide]
			copy(to, from[:last])
			copy(to[last:], from[last+skip:])
		}
	}
}

// addRows adds to acc[n][wide]: the weights are read from memory along the rows, x[cols/plainColumns][n][plainColumns]
// in passes while those of a block are in the first-level cache.
func (m *matrix) addRows(acc, x []float32, n, lo, wide int) {
	cols, size, pass := m.Cols, m.Format.Bits()/8, m.kernels.DotTokens
	dots := m.kernels.Dots[m.Format]
	passes := (n + pass - 1) / pass
	for r := 0; r < wide; r += 4 {
		data := m.Data[min(lo+r, m.Rows-4)*cols*size:]
		for from := 0; from < cols; from += plainColumns {
			columns, ahead := min(plainColumns, cols-from), 4*cols*size
			for i := range passes {
				t, end := i*n/passes, (i+1)*n/passes
				dots(&acc[t*wide+r], 4*wide, &data[from*size], cols*size, &x[n*from+t*columns], 4*columns, columns, end-t, ahead)
				ahead = 0
			}
		}
	}
}

// addBlocks adds to acc[n][wide] for more tokens, one block of columns after the other. Tokens that pass by together
// are copied together, since the cache cannot hold many lines that lie a power of two apart.
func (m *matrix) addBlocks(w *worker, acc, x []float32, n, lo, wide int) {
	k, cols, size, f := m.kernels, m.Cols, m.Format.Bits()/8, m.Format
	widened := n >= widenTokens
	if widened {
		f = backend.F32
	}
	block := min(plainColumns, cols)
	buf := grow(&w.rows, (wide+plainTokens)*block)
	tokens, panel := buf[:plainTokens*block], buf[plainTokens*block:]
	for from := 0; from < cols; from += plainColumns {
		columns := min(plainColumns, cols-from)
		if widened {
			for r := range wide {
				row := min(lo+r&^3, m.Rows-4) + r&3
				widenRow(k, panel[r*columns:(r+1)*columns], m.Data[(row*cols+from)*size:], m.Format)
			}
		}
		for t := 0; t < n; t += plainTokens {
			count := min(plainTokens, n-t)
			for i := range count {
				copy(tokens[i*columns:(i+1)*columns], x[(t+i)*cols+from:])
			}
			for r := 0; r < wide; r += 4 {
				weights, stride, ahead := &m.Data[(min(lo+r, m.Rows-4)*cols+from)*size], cols*size, 0
				if widened {
					weights, stride = (*byte)(unsafe.Pointer(&panel[r*columns])), 4*columns
				} else if t == 0 {
					ahead = 4 * stride
				}
				for i := 0; i < count; i += k.DotTokens {
					some := min(k.DotTokens, count-i)
					k.Dots[f](&acc[(t+i)*wide+r], 4*wide, weights, stride, &tokens[i*columns], 4*columns, columns, some, ahead)
					ahead = 0
				}
			}
		}
	}
}

// widenRow widens len(dst) numbers, a multiple of 8.
func widenRow(k *simd.Kernels, dst []float32, src []byte, f backend.Format) {
	if f == backend.F32 {
		copy(unsafe.Slice((*byte)(unsafe.Pointer(&dst[0])), 4*len(dst)), src)
		return
	}
	k.Widen[f](&dst[0], &src[0], len(dst))
}
