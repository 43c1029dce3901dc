package cpu

import "golang.org/x/sys/cpu"

const assemblyName = "avx2"

// paths lists the SIMD paths of this machine, the best first.
func paths() []*kernels {
	if x := &cpu.X86; x.HasAVX2 && x.HasFMA && x.HasF16C {
		return []*kernels{assembly}
	}
	return nil
}
