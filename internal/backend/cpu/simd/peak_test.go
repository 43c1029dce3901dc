package simd

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend/backendtest"
)

// All factors are 1, so the sums are as many as there were multiply-adds, of bytes where the path multiplies those.
func TestPeakComesFromLessThanItCounts(t *testing.T) {
	eachPath(t, func(t *testing.T, k *Kernels) {
		bytes := 1
		if k.Name == "neon-dot" {
			bytes = 2 // that an activation is
		}
		for i, turns := range []int{1, 2, 1000} {
			front := i%2 == 1
			integers, floats := backendtest.At(t, make([]int32, 16), front), backendtest.At(t, make([]float32, 16), front)
			k.GEMMPeak((*[16]int32)(integers), turns)
			k.DotsPeak((*[16]float32)(floats), turns)
			var integerSum, floatSum int
			for lane := range 16 {
				integerSum += int(integers[lane])
				floatSum += int(floats[lane])
			}
			require.Equal(t, turns*k.GEMMAdds*bytes, integerSum, "%d turns of GEMM", turns)
			require.Equal(t, turns*k.DotsAdds, floatSum, "%d turns of Dots", turns)
		}
	})
}
