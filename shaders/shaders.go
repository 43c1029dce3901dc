// Package shaders holds the Metal kernels that compute GLM-4, as source, and the table of them: name, arguments,
// buffers and geometry. It launches nothing; internal/backend/gpu does.
//
// Each source is compiled with what all of them share in front of it ([Source]). What is fixed for a pipeline (formats,
// group size, head dimension, tile sizes) are function constants ([Constants]); what changes from step to step is a
// small struct in [[buffer(0)]].
package shaders

import (
	"embed"
	"fmt"
)

//go:embed *.metal *.h
var files embed.FS

// Source returns the text of a file of [Table] as Metal compiles it.
func Source(file string) (string, error) {
	var text string
	for _, name := range []string{"weights.h", "args.h", "epilogue.h", "sampling.h", file + ".metal"} {
		b, err := files.ReadFile(name)
		if err != nil {
			return "", fmt.Errorf("shaders: there is no source %q", file)
		}
		text += string(b) + "\n"
	}
	return text, nil
}

// Constants are the values of the function constants, in the order of their indices. Formats are numbered as in
// package backend: 0 f32, 1 f16, 2 bf16.
type Constants struct {
	GroupSize    uint32
	ScaleFormat  uint32
	WeightFormat uint32
	KVFormat     uint32
	HeadDim      uint32
	Simdgroups   uint32 // a threadgroup of the GEMV kernels: Threads/32
}
