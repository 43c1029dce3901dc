//go:build linux && (amd64 || arm64)

package metalsim_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/metalsim"
	"github.com/glm4-metal/glm4-metal/metal"
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

// A GPU may take subnormal halves for zero, in vectors too; others, zeros with a sign and floats stay what they are.
func TestFlushedHalfIsKept(t *testing.T) {
	for flush, want := range map[uint64][]uint32{
		0: {0x33800000, 0xB87FC000, 0x38800000, 0x80000000, 0x00000001},
		1: {0, 0x80000000, 0x38800000, 0x80000000, 0x00000001},
	} {
		s := openStandIn(t)
		require.NoError(t, metalsim.SetLimit("flushHalf", flush))
		x, y := []uint32{0x83FF0001, 0x80000400, 1}, make([]uint32, 5)
		run{source: `kernel void k(device const uint *x [[buffer(0)]], device uint *y [[buffer(1)]]) {
			half2 a = as_type<half2>(x[0]), b = as_type<half2>(x[1]);
			y[0] = as_type<uint>(float(as_type<half>(ushort(x[0]))));
			y[1] = as_type<uint>(float(a.y));
			y[2] = as_type<uint>(float(b.x));
			y[3] = as_type<uint>(float(b.y));
			y[4] = as_type<uint>(as_type<float>(x[2]));
		}`, threads: line(1), group: line(1)}.on(t, s, x, y)
		require.Equal(t, want, y, "flushHalf %d", flush)
	}
}

// With another layout the elements lie in other lanes, and what only loads, multiplies and stores does not notice.
func TestMatrixLayoutIsAlwaysThatOfApple(t *testing.T) {
	for layout, place := range []func(lane int) (row, column int){
		func(lane int) (int, int) { return lane/16*4 + lane/2%4, lane/8%2*4 + lane%2*2 },
		func(lane int) (int, int) { return lane / 4, lane % 4 * 2 },
	} {
		s := openStandIn(t)
		require.NoError(t, metalsim.SetLimit("matrixLayout", uint64(layout)))
		x, dealt, product := make([]float32, 64), make([]float32, 64), make([]float32, 64)
		for i := range x {
			x[i] = float32(i)
		}
		run{source: `kernel void k(device const float *x [[buffer(0)]], device float *dealt [[buffer(1)]],
				device float *product [[buffer(2)]], uint lane [[thread_index_in_simdgroup]]) {
			simdgroup_float8x8 m, diagonal(2.0f), twice;
			m.thread_elements()[0] = 2 * lane;
			m.thread_elements()[1] = 2 * lane + 1;
			simdgroup_store(m, dealt);
			simdgroup_load(m, x);
			simdgroup_multiply(twice, m, diagonal);
			simdgroup_store(twice, product);
		}`, threads: line(32), group: line(32)}.on(t, s, x, dealt, product)
		for lane := range 32 {
			row, column := place(lane)
			require.Equal(t, []float32{float32(2 * lane), float32(2*lane + 1)}, dealt[8*row+column:][:2], "lane %d", lane)
		}
		for i := range x {
			require.Equal(t, 2*x[i], product[i])
		}
	}
}

func TestEmptyLibraryHasFunctions(t *testing.T) {
	s := openStandIn(t)
	require.NoError(t, metalsim.SetLimit("emptyLibrary", 1))
	library, err := s.device.NewLibrary("kernel void k() {}", metal.CompileOptions{})
	require.NoError(t, err)
	defer library.Release()
	require.Empty(t, library.FunctionNames())
	_, err = library.NewFunction("k", metal.FunctionConstants{})
	require.ErrorContains(t, err, `no function "k"`)
	constants := s.NewFunctionConstants()
	defer constants.Release()
	_, err = library.NewFunction("k", constants)
	require.Error(t, err)
}
