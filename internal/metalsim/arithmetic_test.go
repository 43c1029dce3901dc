//go:build linux && (amd64 || arm64)

package metalsim_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/metalsim"
)

// In Apple's arithmetic float32 denormals are zero, those that are read as well as those that come out, and a product
// and a sum of one expression are rounded once. Half subnormals are kept.
func TestArithmeticIsNotApples(t *testing.T) {
	for arithmetic, want := range map[string][]uint32{
		"plain": {0x00400000, 0x00000001, 0x33800000, 0x0001, 0},
		"apple": {0, 0, 0x33800000, 0x0001, 0xA8800000},
	} {
		t.Run(arithmetic, func(t *testing.T) {
			t.Setenv("GLM4_METALSIM_ARITHMETIC", arithmetic)
			x := []uint32{
				0x00800000, // the least normal number, to be halved
				0x00000001, // the least denormal one, to be multiplied by 1
				1,          // the least half
				0x33800000, // the same as a float
				0x3F800001, // 1 + 2^-23, whose square rounds up to 1 + 2^-22
			}
			y := make([]uint32, len(x))
			run{source: `kernel void k(device const uint *x [[buffer(0)]], device uint *y [[buffer(1)]]) {
				y[0] = as_type<uint>(as_type<float>(x[0]) * 0.5f);
				y[1] = as_type<uint>(as_type<float>(x[1]) * as_type<float>(0x3F800000 + x[2] - 1));
				y[2] = as_type<uint>(float(as_type<half>(ushort(x[2]))));
				y[3] = as_type<ushort>(half(as_type<float>(x[3])));
				float a = as_type<float>(x[4]), square = a * a;
				y[4] = as_type<uint>(square - a * a);
			}`, threads: line(1), group: line(1)}.on(t, openStandIn(t), x, y)
			require.Equal(t, want, y)
		})
	}
	t.Setenv("GLM4_METALSIM_ARITHMETIC", "exact")
	_, err := metalsim.Compile("kernel void k() {}", metalsim.Options{})
	require.EqualError(t, err, `GLM4_METALSIM_ARITHMETIC is "exact"; it must be plain or apple`)
}
