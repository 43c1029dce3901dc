package loader

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Quantization is how MLX packed the weights, from the block of that name in config.json. The zero value means not at
// all.
//
// A quantised module X has three tensors: X.weight of uint32 with 32/Bits values in each, the lowest bits first, and
// X.scales and X.biases with one value for each GroupSize weights of a row. A weight is scale·q + bias. Source:
// mlx.core.quantize, https://ml-explore.github.io/mlx/build/html/python/_autosummary/mlx.core.quantize.html.
type Quantization struct {
	Bits      int // 4 or 8
	GroupSize int // 32, 64 or 128
	Modules   map[string]ModuleQuantization
}

// ModuleQuantization overrides a Quantization for one module, by its path. The zero value leaves the module plain.
type ModuleQuantization struct{ Bits, GroupSize int }

// wayOut ends an error about a quantisation that cannot be read.
const wayOut = "supported are the plain bf16, f16 and f32 weights and MLX affine quantisation with 4 or 8 bits in " +
	"groups of 32, 64 or 128; " +
	"take such a model (mlx-community/GLM-4-9B-0414-4bit) or make one from the original"

// module returns what applies to a module that goes by several names, and whether an override says so.
func (q Quantization) module(names ...string) (m ModuleQuantization, override bool) {
	for _, name := range names {
		if m, ok := q.Modules[name]; ok {
			return m, true
		}
	}
	return ModuleQuantization{Bits: q.Bits, GroupSize: q.GroupSize}, false
}

// quantization reads the "quantization" block that MLX writes, or the "quantization_config" that others share with it.
func quantization(f *fields) Quantization {
	if f.has("compression_config") {
		f.fail("compression_config", "absent: "+wayOut)
	}
	block := f.object("quantization")
	if other := f.object("quantization_config"); other != nil {
		// the latter are of old versions of bitsandbytes
		for _, name := range []string{"quant_method", "load_in_4bit", "load_in_8bit"} {
			if other.has(name) && string(other.values[name]) != "false" {
				other.fail(name, "absent: "+wayOut)
			}
		}
		f.adopt(other)
		if block == nil {
			block = other
		}
	}
	if block == nil || f.err != nil {
		return Quantization{}
	}
	defer f.adopt(block)
	if block.has("quant_method") {
		block.fail("quant_method", "absent: "+wayOut)
		return Quantization{}
	}
	m := affine(block)
	q := Quantization{Bits: m.Bits, GroupSize: m.GroupSize}
	names := make([]string, 0, len(block.values))
	for name := range block.values {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		value := block.values[name]
		switch {
		case name == "bits" || name == "group_size" || name == "mode" || string(value) == "true":
			continue
		case string(value) == "false":
			q.override(name, ModuleQuantization{})
		case strings.HasPrefix(string(value), "{"):
			nested := block.object(name)
			q.override(name, affine(nested))
			block.adopt(nested)
		default:
			block.fail(name, "an object or false, if it is a module; other settings are not known")
		}
	}
	if block.err != nil {
		return Quantization{}
	}
	return q
}

func (q *Quantization) override(name string, m ModuleQuantization) {
	if q.Modules == nil {
		q.Modules = map[string]ModuleQuantization{}
	}
	q.Modules[name] = m
}

// affine reads one {group_size, bits, mode}.
func affine(f *fields) ModuleQuantization {
	f.mustBe("mode", "affine", "affine: "+wayOut)
	return ModuleQuantization{Bits: f.oneOf("bits", 4, 8), GroupSize: f.oneOf("group_size", 32, 64, 128)}
}

func (f *fields) oneOf(name string, allowed ...int) int {
	var n int
	if json.Unmarshal(f.values[name], &n) != nil || !slices.Contains(allowed, n) {
		f.fail(name, fmt.Sprintf("one of %v: %s", allowed, wayOut))
	}
	return n
}
