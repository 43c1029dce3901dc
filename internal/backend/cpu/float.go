package cpu

import (
	"encoding/binary"
	"math"
	"sync"

	"github.com/x448/float16"

	"github.com/glm4-metal/glm4-metal/internal/backend"
)

// half gives the float32 value of each float16, by its bits.
var half = sync.OnceValue(func() *[1 << 16]float32 {
	var t [1 << 16]float32
	for i := range t {
		t[i] = float16.Frombits(uint16(i)).Float32()
	}
	return &t
})

// toHalf rounds to the nearest float16; what lies beyond its range becomes the largest, so a key or value never
// turns into an infinity.
func toHalf(f float32) uint16 {
	return float16.Fromfloat32(max(-65504, min(65504, f))).Bits()
}

// widen writes the float32 values of len(dst) plain numbers.
func widen(dst []float32, src []byte, f backend.Format) {
	switch f {
	case backend.F32:
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
		}
	case backend.F16:
		t := half()
		for i := range dst {
			dst[i] = t[binary.LittleEndian.Uint16(src[2*i:])]
		}
	case backend.BF16:
		for i := range dst {
			dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(src[2*i:])) << 16)
		}
	}
}
