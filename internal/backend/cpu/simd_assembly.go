//go:build amd64 || arm64

package cpu

import "github.com/glm4-metal/glm4-metal/internal/backend"

// assembly are the kernels of this architecture.
var assembly = &kernels{
	name:     assemblyName,
	quantise: quantise,
	q4:       quantisedKernels{gemvForm: formSplit, gemmForm: formSplit, gemv: gemv4, panel: panel4},
	q8:       quantisedKernels{gemv: gemv8, panel: panel8},
	gemm:     gemm, gemmTokens: 4,
	columns: [3]func(dst *float32, src *byte, stride, columns int){backend.F32: columnsF32, backend.F16: columnsF16, backend.BF16: columnsBF16},
	dots: [3]func(y *float32, ystride int, w *byte, stride int, x *float32, xstride, columns, count, ahead int){
		backend.F32: dotsF32, backend.F16: dotsF16, backend.BF16: dotsBF16},
	tokens:  3,
	widen:   [3]func(dst *float32, src *byte, n int){backend.F16: widenF16, backend.BF16: widenBF16},
	exp2Sum: exp2Sum,
	weigh:   weigh,
	narrow:  narrow,
	siluMul: siluMul,
	maximum: maximum,
	squares: squares,
	scaled:  scaled,
	times:   times,
	add:     add,
}

//go:noescape
func quantise(q *int16, scale, sum, x *float32, groups, size, form int)

//go:noescape
func gemv4(y *float32, w *byte, stride int, x *int16, scale, sum, wscale, wbias *float32, groups, size int)

//go:noescape
func gemv8(y *float32, w *byte, stride int, x *int16, scale, sum, wscale, wbias *float32, groups, size int)

//go:noescape
func panel4(panel *int16, w *byte, stride, columns int)

//go:noescape
func panel8(panel *int16, w *byte, stride, columns int)

//go:noescape
func gemm(acc *float32, panel, x *int16, scale, sum, wscale, wbias *float32, half, columns, groups, size int)

//go:noescape
func columnsF32(dst *float32, src *byte, stride, columns int)

//go:noescape
func columnsF16(dst *float32, src *byte, stride, columns int)

//go:noescape
func columnsBF16(dst *float32, src *byte, stride, columns int)

//go:noescape
func dotsF32(y *float32, ystride int, w *byte, stride int, x *float32, xstride, columns, count, ahead int)

//go:noescape
func dotsF16(y *float32, ystride int, w *byte, stride int, x *float32, xstride, columns, count, ahead int)

//go:noescape
func dotsBF16(y *float32, ystride int, w *byte, stride int, x *float32, xstride, columns, count, ahead int)

//go:noescape
func widenF16(dst *float32, src *byte, n int)

//go:noescape
func widenBF16(dst *float32, src *byte, n int)

//go:noescape
func exp2Sum(x *float32, n int, high float32) (sum float32)

//go:noescape
func weigh(sums *float32, sstride int, p *float32, pstride int, v *float32, vstride, columns, rows int, ahead *byte)

//go:noescape
func narrow(dst *uint16, src *float32, n int)

//go:noescape
func siluMul(gate, up *float32, n int)

//go:noescape
func maximum(x *float32, n int) (high float32)

//go:noescape
func squares(x *float32, n int) (sum float32)

//go:noescape
func scaled(out, x, weight *float32, n int, scale float32)

//go:noescape
func times(x *float32, n int, factor float32)

//go:noescape
func add(x, y *float32, n int)

// pause waits for n of the processor's short pauses; no lock is held and no system call made.
//
//go:noescape
func pause(n int)
