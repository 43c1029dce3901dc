package cpu

import (
	"math"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/cpu/simd"
)

// sample gives the id that [backend.Sampling] describes, or else bad, the first id whose logit is NaN or +Inf. With
// kernels it looks at blocks of ids first and leaves out those that cannot win.
func sample(k *simd.Kernels, x []float32, how *backend.Sampling) (best, bad int) {
	const block = 512
	var top float32
	best = -1
	for from := 0; from < len(x); from += block {
		ids := x[from:min(from+block, len(x))]
		least := uint64(0) // the least noise that can win, as its 24 bits
		if k != nil && best >= 0 && len(ids)%8 == 0 {
			high := k.Maximum(&ids[0], len(ids)) // NaN compares false below
			if how.Temperature <= 0 && high <= top {
				continue
			}
			if how.Temperature > 0 {
				if least = leastNoise(float64(top), float64(high)/float64(how.Temperature)); least >= 1<<24 {
					continue
				}
			}
		}
		key := backend.GumbelKey(how.Seed, how.Step)
		for i, v := range ids {
			if backend.Infinite(v) {
				return 0, from + i
			}
			if how.Temperature > 0 {
				if least > 0 && backend.GumbelBits(key, int32(from+i)) < least {
					continue
				}
				v = v/how.Temperature + backend.Gumbel(how.Seed, how.Step, int32(from+i))
			}
			if best < 0 || v > top {
				best, top = from+i, v
			}
		}
	}
	return best, -1
}

// leastNoise gives the bits u of the noise -ln(-ln((u+0.5)/2^24)) below which even a logit of high, divided by the
// temperature, stays below top; a margin covers the rounding of float32.
func leastNoise(top, high float64) uint64 {
	need := top - high - 1e-5*(math.Abs(top)+math.Abs(high)) - 1e-3
	if !(need > -3) { // almost any noise will do, or something is not a number
		return 0
	}
	return uint64(math.Exp(-math.Exp(-need)) * (1 << 24))
}
