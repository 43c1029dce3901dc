package cpu

import (
	"runtime"

	"golang.org/x/sys/cpu"
)

const assemblyName = "neon"

// neonDot is NEON with the dot-product extension, which multiplies bytes.
var neonDot = func() *kernels {
	k := *assembly
	k.name = "neon-dot"
	k.q4.gemvForm, k.q4.gemmForm = formSplit|formDigits16, formSplit|formDigits16
	k.q8.gemvForm, k.q8.gemmForm = formDigits16, formDigits16
	k.q4.gemv, k.q4.panel = gemv4Dot, panel4Dot
	k.q8.gemv, k.q8.panel = gemv8Dot, panel8Dot
	k.gemm, k.gemmTokens = gemmDot, 4
	return &k
}()

// paths lists the SIMD paths of this machine, the best first: every arm64 has NEON, and every Mac dot products, which
// old versions of macOS do not tell.
func paths() []*kernels {
	if cpu.ARM64.HasASIMDDP || runtime.GOOS == "darwin" {
		return []*kernels{neonDot, assembly}
	}
	return []*kernels{assembly}
}

//go:noescape
func gemv4Dot(y *float32, w *byte, stride int, x *int16, scale, sum, wscale, wbias *float32, groups, size int)

//go:noescape
func gemv8Dot(y *float32, w *byte, stride int, x *int16, scale, sum, wscale, wbias *float32, groups, size int)

//go:noescape
func panel4Dot(panel *int16, w *byte, stride, columns int)

//go:noescape
func panel8Dot(panel *int16, w *byte, stride, columns int)

//go:noescape
func gemmDot(acc *float32, panel, x *int16, scale, sum, wscale, wbias *float32, half, columns, groups, size int)
