package loader

import (
	"encoding/binary"
	"math"

	"github.com/x448/float16"
)

// DType is the type of a tensor's elements, named as in a safetensors header.
type DType uint8

// The element types that a safetensors header may name. Only F32, F16 and BF16 can be weights, and U32 holds packed
// quantised ones.
const (
	Invalid DType = iota
	F32
	F16
	BF16
	U32
	F64
	I64
	U64
	I32
	I16
	U16
	I8
	U8
	Bool
	F8E4M3
	F8E5M2
)

var dtypes = [...]struct {
	name string
	size int
}{
	Invalid: {"invalid", 0},
	F32:     {"F32", 4},
	F16:     {"F16", 2},
	BF16:    {"BF16", 2},
	U32:     {"U32", 4},
	F64:     {"F64", 8},
	I64:     {"I64", 8},
	U64:     {"U64", 8},
	I32:     {"I32", 4},
	I16:     {"I16", 2},
	U16:     {"U16", 2},
	I8:      {"I8", 1},
	U8:      {"U8", 1},
	Bool:    {"BOOL", 1},
	F8E4M3:  {"F8_E4M3", 1},
	F8E5M2:  {"F8_E5M2", 1},
}

// String returns the name that a safetensors header uses, such as "BF16".
func (d DType) String() string {
	if int(d) >= len(dtypes) {
		d = Invalid
	}
	return dtypes[d].name
}

// Size returns the bytes of one element, 0 for an invalid type.
func (d DType) Size() int {
	if int(d) >= len(dtypes) {
		return 0
	}
	return dtypes[d].size
}

// float reports whether weights, scales and biases may have this type.
func (d DType) float() bool { return d == F32 || d == F16 || d == BF16 }

func parseDType(name string) DType {
	for d, t := range dtypes {
		if t.name == name && t.size > 0 {
			return DType(d)
		}
	}
	return Invalid
}

// at returns element i of data as float32. Every F16 and BF16 value has exactly one float32 value. d must be a float
// type.
func (d DType) at(data []byte, i int) float32 {
	switch d {
	case F32:
		return math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	case BF16:
		return math.Float32frombits(uint32(binary.LittleEndian.Uint16(data[2*i:])) << 16)
	case F16:
		return float16.Frombits(binary.LittleEndian.Uint16(data[2*i:])).Float32()
	}
	panic("loader: no number of " + d.String() + " can be a weight")
}
