//go:build amd64 || arm64

package simd

import "github.com/glm4-metal/glm4-metal/internal/backend"

// assembly are the kernels that every path of this architecture has or replaces.
var assembly = func() *Kernels {
	k := &Kernels{
		Name: assemblyName, Quantise: quantise, GEMM: gemm, GEMMTokens: 4, DotTokens: 3, DotsMost: dotsMost,
		Q4: QuantisedKernels{GEMVForm: formSplit, GEMVsForm: gemvs4Form, GEMMForm: formSplit, GEMV: gemv4, GEMVs: gemvs4,
			Panel: panel4, GEMVsTokens: gemvsTokens, GEMVMost: gemvMost, GEMVsMost: gemvsMost},
		Q8: QuantisedKernels{GEMVsForm: gemvs8Form, GEMV: gemv8, GEMVs: gemvs8,
			Panel: panel8, GEMVsTokens: gemvsTokens, GEMVMost: gemvMost, GEMVsMost: gemvsMost8},
		GEMVsRows: 8,
		GEMMPeak:  gemmPeak, GEMMAdds: gemmAdds, DotsPeak: dotsPeak, DotsAdds: dotsAdds,
		Weigh: weigh, Exp2Sum: exp2Sum, Narrow: narrow,
		SiluMul: siluMul, Maximum: maximum, Squares: squares, Scaled: scaled, Times: times, Add: add,
	}
	k.Columns[backend.F32], k.Columns[backend.F16], k.Columns[backend.BF16] = columnsF32, columnsF16, columnsBF16
	k.Dots[backend.F32], k.Dots[backend.F16], k.Dots[backend.BF16] = dotsF32, dotsF16, dotsBF16
	k.Widen[backend.F16], k.Widen[backend.BF16] = widenF16, widenBF16
	return k
}()

//go:noescape
func quantise(q *int16, scale, sum, x *float32, groups, size, form int)

//go:noescape
func gemv4(y *float32, w *byte, stride int, x *int16, scale, sum, wscale, wbias *float32, groups, size int)

//go:noescape
func gemv8(y *float32, w *byte, stride int, x *int16, scale, sum, wscale, wbias *float32, groups, size int)

//go:noescape
func gemvs4(y *float32, w, second *byte, stride int, x *int16, scale, sum, wscale, wbias *float32,
	half, groups, size, count int)

//go:noescape
func gemvs8(y *float32, w, second *byte, stride int, x *int16, scale, sum, wscale, wbias *float32,
	half, groups, size, count int)

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
func gemmPeak(sums *[16]int32, turns int)

//go:noescape
func dotsPeak(sums *[16]float32, turns int)

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

// Pause waits for n of the processor's short pauses; no lock is held and no system call made.
//
//go:noescape
func Pause(n int)
