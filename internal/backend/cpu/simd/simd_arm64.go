package simd

import (
	"runtime"

	"golang.org/x/sys/cpu"
)

const assemblyName = "neon"

// The multiply-adds of a turn of the loops to measure with.
const gemmAdds, dotsAdds = 16 * 4, 16 * 4

// What GEMVs reads.
const gemvs4Form, gemvs8Form = formSplit, 0

// The tokens that GEMVs takes at a time, and those that GEMV and, for 4 and 8 bits, GEMVs are the fastest for: counted,
// not measured. The vector instructions that neither load nor store limit the kernels; neonDot executes so many for 256
// codes in groups of 64:
//
//	tokens          1    2    4    8   12   16
//	4 bits  GEMV   68  136  272
//	        GEMVs      117  191  347  546  695
//	        GEMM            205  361  518  674
//	8 bits  GEMV   69  138  276
//	        GEMVs      135  209  365  582  730
//	        GEMM            206  364  522  680
//
// GEMM takes tokens by fours: with 13 of 4 bits it needs 674 and GEMVs 584, with 10 of 8 bits 522 and 508. Without dot
// products, with either width, GEMVs needs up to 8 in 100 more with 12 tokens and at least 11 in 100 less with 13.
const gemvsTokens, gemvMost, gemvsMost, gemvsMost8 = 8, 1, 16, 16

// The same for Dots.
const dotsMost = 6

// neonDot is NEON with the dot-product extension, which multiplies bytes.
var neonDot = func() *Kernels {
	k := *assembly
	k.Name = "neon-dot"
	k.Q4.GEMVForm, k.Q4.GEMMForm = formSplit|formDigits16, formSplit|formDigits16
	k.Q8.GEMVForm, k.Q8.GEMMForm = formDigits16, formDigits16
	k.Q4.GEMVsForm, k.Q8.GEMVsForm = k.Q4.GEMVForm, k.Q8.GEMVForm
	k.Q4.GEMV, k.Q4.GEMVs, k.Q4.Panel = gemv4Dot, gemvs4Dot, panel4Dot
	k.Q8.GEMV, k.Q8.GEMVs, k.Q8.Panel = gemv8Dot, gemvs8Dot, panel8Dot
	k.Q8.GEMVsMost = 10
	k.GEMM, k.GEMMTokens = gemmDot, 4
	k.GEMMPeak, k.GEMMAdds = gemmPeakDot, 16*16/2 // an activation is two bytes
	return &k
}()

// Paths lists the SIMD paths of this machine, the best first: every arm64 has NEON, and every Mac dot products, which
// old versions of macOS do not tell.
func Paths() []*Kernels {
	if cpu.ARM64.HasASIMDDP || runtime.GOOS == "darwin" {
		return []*Kernels{neonDot, assembly}
	}
	return []*Kernels{assembly}
}

//go:noescape
func gemv4Dot(y *float32, w *byte, stride int, x *int16, scale, sum, wscale, wbias *float32, groups, size int)

//go:noescape
func gemv8Dot(y *float32, w *byte, stride int, x *int16, scale, sum, wscale, wbias *float32, groups, size int)

//go:noescape
func gemvs4Dot(y *float32, w, second *byte, stride int, x *int16, scale, sum, wscale, wbias *float32,
	half, groups, size, count int)

//go:noescape
func gemvs8Dot(y *float32, w, second *byte, stride int, x *int16, scale, sum, wscale, wbias *float32,
	half, groups, size, count int)

//go:noescape
func panel4Dot(panel *int16, w *byte, stride, columns int)

//go:noescape
func panel8Dot(panel *int16, w *byte, stride, columns int)

//go:noescape
func gemmPeakDot(sums *[16]int32, turns int)

//go:noescape
func gemmDot(acc *float32, panel, x *int16, scale, sum, wscale, wbias *float32, half, columns, groups, size int)
