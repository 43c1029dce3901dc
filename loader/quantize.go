package loader

import (
	"encoding/binary"
	"math"
	"slices"
	"sync"

	"github.com/x448/float16"
)

// quantizer packs rows as mx.quantize does in its affine mode on the CPU, bit for bit. Source: quantize in
// https://github.com/ml-explore/mlx/blob/main/mlx/backend/cpu/quantized.cpp (0.32).
//
// MLX's Metal kernel (affine_quantize in kernels/quantized.h) differs in corners: the maximum of a group begins at 0,
// so a group of negative values has 0 as its upper end, and halves are rounded away from zero instead of to even.
type quantizer struct {
	dtype       DType // of the values, the scales and the biases: F32, F16 or BF16
	bits, group int
}

const maxGroup = 128

// leastStep is the least scale.
const leastStep = float32(1e-7)

// roundToInteger added to a float32 from 0 to 2^22 rounds it to a whole number, halves to even, which is then in the
// lowest bits.
const roundToInteger = 3 << 22

// quantize packs values, which are whole groups, into words, scales and biases. A value that is not finite is an
// error, whose index comes with it.
func (q quantizer) quantize(words, scales, biases, values []byte) (int, error) {
	size := q.dtype.Size()
	var bits [maxGroup]uint32
	group := bits[:q.group]
	for g := 0; len(values) > 0; g++ {
		low, high := q.decode(group, values[:q.group*size])
		if high-high != 0 || low-low != 0 { // infinite or NaN
			i := slices.IndexFunc(group, func(b uint32) bool { return b&0x7f800000 == 0x7f800000 })
			return g*q.group + i, notFinite(math.Float32frombits(group[i]))
		}
		scale, bias := q.scale(low, high)
		q.dtype.put(scales, g, scale)
		q.dtype.put(biases, g, bias)
		if q.bits == 4 {
			pack4(words[g*q.group/2:(g+1)*q.group/2], group, scale, bias)
		} else {
			pack8(words[g*q.group:(g+1)*q.group], group, scale, bias)
		}
		values = values[q.group*size:]
	}
	return 0, nil
}

// decode writes the values of a group as float32 bits and gives the smallest and largest one. Where a value is not
// finite, one of these is not.
//
// It orders bits, without a branch. Those of positive numbers grow with them, as signed and as unsigned ones; those of
// negative numbers grow as these fall, and are above all positive ones when unsigned, below when signed.
func (q quantizer) decode(dst []uint32, values []byte) (low, high float32) {
	greatest, most, least := int32(math.MinInt32), uint32(0), uint32(math.MaxUint32)
	switch q.dtype {
	case BF16:
		values = values[:2*len(dst)]
		for d := dst; len(d) >= 4 && len(values) >= 8; d, values = d[4:], values[8:] {
			four := binary.LittleEndian.Uint64(values)
			d[0], d[1] = uint32(four)<<16, uint32(four)&0xffff0000
			d[2], d[3] = uint32(four>>32)<<16, uint32(four>>32)&0xffff0000
		}
	case F16:
		table := halves()
		for i := range dst {
			dst[i] = table[binary.LittleEndian.Uint16(values[2*i:])]
		}
	default:
		for i := range dst {
			dst[i] = binary.LittleEndian.Uint32(values[4*i:])
		}
	}
	for _, b := range dst {
		greatest, most, least = max(greatest, int32(b)), max(most, b), min(least, b)
	}
	low, high = math.Float32frombits(least), math.Float32frombits(most)
	if most>>31 == 0 { // none is negative
		return low, high
	}
	low, high = high, math.Float32frombits(uint32(greatest))
	if greatest < 0 { // all are
		high = math.Float32frombits(least)
	}
	return low, high
}

// scale gives the scale and bias of a group that lies between low and high. The extreme that is farther from 0 becomes
// the bias, and 0 is hit exactly.
func (q quantizer) scale(low, high float32) (scale, bias float32) {
	steps := float32(int(1)<<q.bits - 1)
	scale = max((high-low)/steps, leastStep)
	edge := low
	if !(math.Abs(float64(low)) > math.Abs(float64(high))) {
		scale, edge = -scale, high
	}
	if zero := float32(math.RoundToEven(float64(edge / scale))); zero != 0 {
		return edge / zero, edge
	}
	return scale, 0
}

// level is the number of the step that a value is nearest to, as the lowest bits of a float32.
func level(bits uint32, scale, bias, most float32) uint32 {
	// At least -1/2, which rounds to 0: the bias is the extreme that the scale leads away from or, where it is 0, no value
	// is as large as half the scale. Rounding takes nothing across a whole number, so that the limit may come first.
	v := (math.Float32frombits(bits) - bias) / scale
	if v > most {
		v = most
	}
	return math.Float32bits(v + roundToInteger)
}

func pack4(dst []byte, values []uint32, scale, bias float32) {
	for ; len(values) >= 8 && len(dst) >= 4; values, dst = values[8:], dst[4:] {
		v := values[:8:8]
		word := level(v[0], scale, bias, 15) & 15
		word |= level(v[1], scale, bias, 15) & 15 << 4
		word |= level(v[2], scale, bias, 15) & 15 << 8
		word |= level(v[3], scale, bias, 15) & 15 << 12
		word |= level(v[4], scale, bias, 15) & 15 << 16
		word |= level(v[5], scale, bias, 15) & 15 << 20
		word |= level(v[6], scale, bias, 15) & 15 << 24
		word |= level(v[7], scale, bias, 15) << 28
		binary.LittleEndian.PutUint32(dst, word)
	}
}

func pack8(dst []byte, values []uint32, scale, bias float32) {
	dst = dst[:len(values)]
	for i, v := range values {
		dst[i] = byte(level(v, scale, bias, 255))
	}
}

// put writes v, rounded to nearest, halves to even, as element i. d must be a float type.
func (d DType) put(dst []byte, i int, v float32) {
	switch d {
	case F32:
		binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(v))
	case BF16:
		binary.LittleEndian.PutUint16(dst[2*i:], bf16Bits(v))
	case F16:
		binary.LittleEndian.PutUint16(dst[2*i:], float16.Fromfloat32(v).Bits())
	default:
		panic("loader: no number of " + d.String() + " can be a weight")
	}
}

// bf16Bits rounds a number, which is no NaN, to bf16.
func bf16Bits(v float32) uint16 {
	b := math.Float32bits(v)
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// halves are the float32 bits of all f16 numbers.
var halves = sync.OnceValue(func() *[1 << 16]uint32 {
	var table [1 << 16]uint32
	for i := range table {
		table[i] = math.Float32bits(float16.Frombits(uint16(i)).Float32())
	}
	return &table
})
