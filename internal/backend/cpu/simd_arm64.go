package cpu

const assemblyName = "neon"

// paths lists the SIMD paths of this machine: NEON, which every arm64 has. The dot-product extension multiplies bytes
// and has no use for activations of 16 bits.
func paths() []*kernels { return []*kernels{assembly} }
