package simd

import (
	"golang.org/x/sys/cpu"

	"github.com/glm4-metal/glm4-metal/internal/backend"
)

const assemblyName = "avx2"

// The multiply-adds of a turn of the loops to measure with.
const gemmAdds, dotsAdds = 12 * 16, 12 * 8

// What GEMVs reads.
const gemvs4Form, gemvs8Form = formSplit | formFourths, formSplit

// The tokens that GEMVs takes at a time, and those that GEMV and, for 4 and 8 bits, GEMVs are the fastest for, as
// measured on Zen 3.
const gemvsTokens, gemvMost, gemvsMost, gemvsMost8 = 8, 1, 15, 14

// The same for Dots.
const dotsMost = 8

// gemvsMostVNNI is not measured. In LLVM's model of Zen 4 eight tokens of GEMVs take 306 cycles for 1,024 codes, 256 of
// them products; those of GEMM take 275, and unpacking a panel for all tokens about 150.
const gemvsMostVNNI = 24

// avx512 is AVX2 with what gains from vectors of 64 bytes, masks and the dot products of VNNI.
var avx512 = func() *Kernels {
	k := *assembly
	k.Name = "avx512"
	k.Quantise = quantiseVNNI
	k.Q4.GEMV, k.Q4.GEMVForm = gemv4VNNI, formSplit|formDigits
	k.Q4.GEMVs, k.Q4.GEMVsForm, k.Q4.GEMVsMost = gemvs4VNNI, formSplit|formDigits, gemvsMostVNNI
	k.Q8.GEMVs, k.Q8.GEMVsForm, k.Q8.GEMVsMost = gemvs8VNNI, formDigits, gemvsMostVNNI
	k.GEMVsRows = 16
	k.GEMM, k.GEMMTokens = gemmVNNI, 8
	k.Columns[backend.F16], k.Columns[backend.BF16] = columnsF16AVX512, columnsBF16AVX512
	k.DotTokens, k.DotsMost = 6, 12
	k.Dots[backend.F32], k.Dots[backend.F16], k.Dots[backend.BF16] = dotsF32AVX512, dotsF16AVX512, dotsBF16AVX512
	k.GEMMPeak, k.GEMMAdds, k.DotsPeak, k.DotsAdds = gemmPeakVNNI, 16*32, dotsPeakAVX512, 16*16
	k.Widen[backend.F16], k.Widen[backend.BF16], k.Narrow = widenF16AVX512, widenBF16AVX512, narrowAVX512
	k.Weigh, k.WeighHalves, k.Exp2Sum = weighAVX512, weighHalvesAVX512, exp2SumAVX512
	k.SiluMul, k.Maximum = siluMulAVX512, maximumAVX512
	k.Squares, k.Scaled, k.Times, k.Add = squaresAVX512, scaledAVX512, timesAVX512, addAVX512
	return &k
}()

// Paths lists the SIMD paths of this machine, the best first.
func Paths() []*Kernels {
	x := &cpu.X86
	var list []*Kernels
	if x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL && x.HasAVX512VNNI {
		list = append(list, avx512)
	}
	if x.HasAVX2 && x.HasFMA && x.HasF16C {
		list = append(list, assembly)
	}
	return list
}

//go:noescape
func quantiseVNNI(q *int16, scale, sum, x *float32, groups, size, form int)

//go:noescape
func gemv4VNNI(y *float32, w *byte, stride int, x *int16, scale, sum, wscale, wbias *float32, groups, size int)

//go:noescape
func gemvs4VNNI(y *float32, w, second *byte, stride int, x *int16, scale, sum, wscale, wbias *float32,
	half, groups, size, count int)

//go:noescape
func gemvs8VNNI(y *float32, w, second *byte, stride int, x *int16, scale, sum, wscale, wbias *float32,
	half, groups, size, count int)

//go:noescape
func gemmVNNI(acc *float32, panel, x *int16, scale, sum, wscale, wbias *float32, half, columns, groups, size int)

//go:noescape
func gemmPeakVNNI(sums *[16]int32, turns int)

//go:noescape
func dotsPeakAVX512(sums *[16]float32, turns int)

//go:noescape
func columnsF16AVX512(dst *float32, src *byte, stride, columns int)

//go:noescape
func columnsBF16AVX512(dst *float32, src *byte, stride, columns int)

//go:noescape
func widenF16AVX512(dst *float32, src *byte, n int)

//go:noescape
func widenBF16AVX512(dst *float32, src *byte, n int)

//go:noescape
func narrowAVX512(dst *uint16, src *float32, n int)

//go:noescape
func weighAVX512(sums *float32, sstride int, p *float32, pstride int, v *float32, vstride, columns, rows int,
	ahead *byte)

//go:noescape
func weighHalvesAVX512(sums *float32, sstride int, p *float32, pstride int, v *uint16, vstride, columns, rows int,
	fresh bool, ahead *byte)

//go:noescape
func exp2SumAVX512(x *float32, n int, high float32) (sum float32)

//go:noescape
func siluMulAVX512(gate, up *float32, n int)

//go:noescape
func maximumAVX512(x *float32, n int) (high float32)

//go:noescape
func squaresAVX512(x *float32, n int) (sum float32)

//go:noescape
func scaledAVX512(out, x, weight *float32, n int, scale float32)

//go:noescape
func timesAVX512(x *float32, n int, factor float32)

//go:noescape
func addAVX512(x, y *float32, n int)

//go:noescape
func dotsF32AVX512(y *float32, ystride int, w *byte, stride int, x *float32, xstride, columns, count, ahead int)

//go:noescape
func dotsF16AVX512(y *float32, ystride int, w *byte, stride int, x *float32, xstride, columns, count, ahead int)

//go:noescape
func dotsBF16AVX512(y *float32, ystride int, w *byte, stride int, x *float32, xstride, columns, count, ahead int)
