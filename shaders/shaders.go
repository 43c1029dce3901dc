// Package shaders holds the Metal kernels that compute GLM-4, as source, and the table of them: name, arguments,
// buffers and geometry. It launches nothing; internal/backend/gpu does.
//
// Each source is compiled with what all of them share in front of it ([Source]). What is fixed for a pipeline (formats,
// group size, head dimension, tile sizes) are function constants ([Constants]); what changes from step to step is a
// small struct in [[buffer(0)]].
package shaders

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"slices"
)

//go:embed *.metal *.h
var files embed.FS

// Source returns the text of a file of [Table] or [Probes] as Metal compiles it.
func Source(file string) (string, error) {
	var text string
	for _, name := range []string{"weights.h", "args.h", "epilogue.h", "sampling.h", "attention.h", file + ".metal"} {
		b, err := files.ReadFile(name)
		if err != nil {
			return "", fmt.Errorf("shaders: there is no source %q", file)
		}
		text += string(b) + "\n"
	}
	return text, nil
}

// Hash tells sources apart: it is another one after any change of their text.
func Hash() string {
	h := sha256.New()
	entries, _ := fs.ReadDir(files, ".") // sorted; what is embedded can be read
	for _, e := range entries {
		text, _ := files.ReadFile(e.Name())
		fmt.Fprintf(h, "%s %d\n%s", e.Name(), len(text), text)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Files lists the files that kernels stand in, each once.
func Files(kernels []*Kernel) (files []string) {
	for _, k := range kernels {
		if !slices.Contains(files, k.File) {
			files = append(files, k.File)
		}
	}
	return files
}

// Format is how a kernel finds numbers stored, numbered as in weights.h.
type Format uint32

// The formats: plain numbers, and codes of 4 and 8 bits in groups with a scale and a bias, which are weights only.
const (
	F32 Format = iota
	F16
	BF16
	Q4
	Q8
	formats
)

// Constants are the values of the function constants, in the order of their indices.
type Constants struct {
	GroupSize    uint32
	ScaleFormat  Format
	WeightFormat Format
	KVFormat     Format
	HeadDim      uint32
	Simdgroups   uint32 // a threadgroup of the GEMV kernels: Threads/32
	HalfCodes    uint32 // 1: codes are read as halves, whose subnormals keep their value
	Columns      uint32 // of a Kernel's Lanes
	Split        uint32 // of a Kernel's Lanes
}
