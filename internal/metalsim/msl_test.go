//go:build linux && (amd64 || arm64)

package metalsim_test

import (
	"math"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/metalsim"
	"github.com/glm4-metal/glm4-metal/metal"
)

// A run is one dispatch of a kernel. Its buffers are slices of numbers, bound in their order, which hold the result
// after.
type run struct {
	source         string
	kernel         string
	threads, group metal.Size
	constants      func(metal.FunctionConstants)
	precise        bool
}

// bytesOf is the memory of a slice.
func bytesOf(slice any) []byte {
	switch s := slice.(type) {
	case []float32:
		return asBytes(s)
	case []uint32:
		return asBytes(s)
	case []int32:
		return asBytes(s)
	case []uint64:
		return asBytes(s)
	case []uint16:
		return asBytes(s)
	case []uint8:
		return s
	}
	panic("no such buffer")
}

func asBytes[T any](s []T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), len(s)*int(unsafe.Sizeof(*new(T))))
}

func (r run) on(t testing.TB, s *standIn, buffers ...any) {
	t.Helper()
	require.NoError(t, metalsim.SetCounting(true))
	library, err := s.device.NewLibrary(header+r.source, metal.CompileOptions{PreciseMath: r.precise})
	require.NoError(t, err)
	defer library.Release()
	constants := metal.FunctionConstants{}
	if r.constants != nil {
		constants = s.NewFunctionConstants()
		defer constants.Release()
		r.constants(constants)
	}
	if r.kernel == "" {
		r.kernel = "k"
	}
	function, err := library.NewFunction(r.kernel, constants)
	require.NoError(t, err)
	defer function.Release()
	pipeline, err := s.device.NewComputePipeline(function)
	require.NoError(t, err)
	defer pipeline.Release()
	bound := make([]metal.Buffer, len(buffers))
	for i, b := range buffers {
		bound[i], err = s.device.NewBuffer(len(bytesOf(b)), metal.StorageShared)
		require.NoError(t, err)
		defer bound[i].Release()
		copy(bound[i].Contents(), bytesOf(b))
	}
	require.NoError(t, s.compute(t, func(e metal.ComputeEncoder) {
		e.SetPipeline(pipeline)
		for i, b := range bound {
			e.SetBuffer(b, 0, i)
		}
		e.DispatchThreads(r.threads, r.group)
	}))
	for i, b := range bound {
		copy(bytesOf(buffers[i]), b.Contents())
	}
}

// floats runs the statements of one thread that write y, and compares.
func floats(t *testing.T, s *standIn, body string, want ...float32) {
	t.Helper()
	y := make([]float32, len(want))
	run{source: "kernel void k(device float *y [[buffer(0)]]) {\n" + body + "\n}", threads: line(1), group: line(1)}.on(t,
		s, y)
	require.Equal(t, want, y)
}

func words(t *testing.T, s *standIn, body string, want ...uint32) {
	t.Helper()
	y := make([]uint32, len(want))
	run{source: "kernel void k(device uint *y [[buffer(0)]]) {\n" + body + "\n}", threads: line(1), group: line(1)}.on(t,
		s, y)
	require.Equal(t, want, y)
}

func TestSizeOrAlignmentWrong(t *testing.T) {
	s := openStandIn(t)
	words(t, s, `
  #define BOTH(T) y[i++] = sizeof(T), y[i++] = alignof(T)
  uint i = 0;
  BOTH(bool2); BOTH(bool3); BOTH(char3); BOTH(uchar4); BOTH(short2); BOTH(short3); BOTH(half2); BOTH(half3); BOTH(half4);
  BOTH(int3); BOTH(float2); BOTH(float3); BOTH(float4); BOTH(long2); BOTH(ulong3); BOTH(ulong4);
  BOTH(packed_char3); BOTH(packed_half3); BOTH(packed_float3); BOTH(packed_float4); BOTH(packed_ulong2);
  BOTH(float2x2); BOTH(float3x3); BOTH(float4x4); BOTH(half3x4); BOTH(float2x3); BOTH(bfloat); BOTH(size_t);
  struct Args { uchar a; float3 b; packed_float3 c; half d; ulong e; };
  BOTH(Args); BOTH(atomic_uint);`,
		2, 2, 4, 4, 4, 4, 4, 4, 4, 4, 8, 8, 4, 4, 8, 8, 8, 8,
		16, 16, 8, 8, 16, 16, 16, 16, 16, 16, 32, 32, 32, 32,
		3, 1, 6, 2, 12, 4, 16, 4, 16, 8,
		16, 8, 48, 16, 64, 16, 24, 8, 32, 16, 2, 2, 8, 8,
		64, 16, 4, 4)
}

func TestConstructionMisplacesComponent(t *testing.T) {
	s := openStandIn(t)
	floats(t, s, `
  float4 v[] = {float4(1, 2, 3, 4), float4(7), float4(float2(1, 2), 3, 4), float4(1, float2(2, 3), 4), float4(1, 2, float2(3, 4)),
                float4(float2(1, 2), float2(3, 4)), float4(float3(1, 2, 3), 4), float4(1, float3(2, 3, 4)), float4(int4(1, 2, 3, 4)),
                float4(half2(1, 2), int2(3, 4)), float4(packed_float3(1, 2, 3), 4), {1, 2, 3, 4}, 5};
  for (uint i = 0; i < 13; i++) for (uint j = 0; j < 4; j++) y[4 * i + j] = v[i][j];`,
		1, 2, 3, 4, 7, 7, 7, 7, 1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4,
		1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4, 5, 5, 5, 5)
}

func TestSwizzleMisplacesComponent(t *testing.T) {
	s := openStandIn(t)
	floats(t, s, `
  float4 v(1, 2, 3, 4);
  float2 a = v.wy; y[0] = a.x; y[1] = a.y;
  float3 b = v.zzx; y[2] = b.r; y[3] = b.g; y[4] = b.b;
  float4 c = v.abgr; y[5] = c.x; y[6] = c.y; y[7] = c.z; y[8] = c.w;
  v.xw = v.wx; y[9] = v.x; y[10] = v.y; y[11] = v.z; y[12] = v.w;
  v.zyx = float3(10, 20, 30); y[13] = v.x; y[14] = v.y; y[15] = v.z; y[16] = v.w;
  v.bg += 5.0f; y[17] = v.y; y[18] = v.z;
  v.x++; v.w *= 2; y[19] = v.x; y[20] = v.w;
  v.wzyx = v; y[21] = v.x; y[22] = v.w;
  float2 d = float2(8, 9).yx; y[23] = d.x; d.rg = d.gr; y[24] = d.x;
  v[2] = 6; y[25] = v.z; uint i = 3; y[26] = v[i];
  y[27] = v.xxyy.zw.y;`,
		4, 2, 3, 3, 1, 4, 3, 2, 1, 4, 2, 3, 1, 30, 20, 10, 1, 25, 15, 31, 2, 2, 31, 9, 8, 6, 31, 15)
}

// The components of a vector in memory may belong to different threads: a store to one leaves the others alone.
func TestComponentStoreWritesNeighbour(t *testing.T) {
	s := openStandIn(t)
	v := make([]float32, 8)
	run{source: `kernel void k(device float4 *v [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  if (i == 0) v[0].x = 1, v[1].xy = float2(5, 6);
  if (i == 1) v[0].y = 2, v[1].wz = float2(8, 7);
  if (i == 2) v[0].z = 3;
  if (i == 3) v[0].w = 4;
}`, threads: line(4), group: line(1)}.on(t, s, v)
	require.Equal(t, []float32{1, 2, 3, 4, 5, 6, 7, 8}, v)
}

func TestVectorArithmeticWrong(t *testing.T) {
	s := openStandIn(t)
	floats(t, s, `
  float3 a(6, -8, 1), b(2, 4, -3);
  float3 r[] = {a + b, a - b, a * b, a / b, -a, a * 2, 1 - a, 2 / b, a + half(0.5h)};
  for (uint i = 0; i < 9; i++) for (uint j = 0; j < 3; j++) y[3 * i + j] = r[i][j];
  a += b; y[27] = a.x; a *= 2; y[28] = a.y; a -= float3(1); y[29] = a.z; a /= 4; y[30] = a.x;`,
		8, -4, -2, 4, -12, 4, 12, -32, -3, 3, -2, float32(1)/-3, -6, 8, -1, 12, -16, 2, -5, 9, 0, 1, 0.5, float32(2)/-3, 6.5,
		-7.5, 1.5,
		8, -8, -5, 3.75)
	words(t, s, `
  uint2 a(13, 0xffffffffu), b(5, 3);
  uint2 r[] = {a % b, a & b, a | b, a ^ b, ~a, a << b, a >> b, a << 33, a / b, a + 1u};
  for (uint i = 0; i < 10; i++) y[2 * i] = r[i].x, y[2 * i + 1] = r[i].y;
  int2 c = int2(-7, 7) >> 1; y[20] = c.x; y[21] = c.y;
  uchar4 d = uchar4(250, 1, 2, 3) + uchar4(10); y[22] = d.x; y[23] = d.w;
  short2 e = short2(-7, 7) / short2(2); y[24] = e.x; y[25] = e.y;
  a++; y[26] = a.y; --a; y[27] = a.y;`,
		3, 0, 5, 3, 13, 0xffffffff, 8, 0xfffffffc, 0xfffffff2, 0, 416, 0xfffffff8, 0, 0x1fffffff, 26, 0xfffffffe, 2,
		0x55555555, 14, 0,
		0xfffffffc, 3, 4, 13, 0xfffffffd, 3, 0, 0xffffffff)
	words(t, s, `
  float4 a(1, 2, NAN, -0.0f), b(1, 3, NAN, 0.0f);
  bool4 r[] = {a == b, a != b, a < b, a <= b, a > b, a >= b, !(a == b), (a < b) && (a != b), (a < b) || (a == b), (a < b) ^ (a != b)};
  for (uint i = 0; i < 10; i++) y[i] = r[i].x | r[i].y << 1 | r[i].z << 2 | r[i].w << 3;
  y[10] = any(a == b); y[11] = all(a == b); y[12] = all(bool3(true)); y[13] = any(bool2(false));
  float4 s = select(a, float4(9), a < b); y[14] = s.x; y[15] = s.y;
  y[16] = select(1u, 2u, true);`,
		9, 6, 2, 11, 0, 9, 6, 2, 11, 4, 1, 0, 1, 0, 1, 9, 2)
}

func TestPackedVectorMisplacesComponent(t *testing.T) {
	s := openStandIn(t)
	y := make([]float32, 12)
	x := []float32{1, 2, 3, 4, 5, 6}
	run{source: `kernel void k(device const packed_float3 *x [[buffer(0)]], device packed_float3 *y [[buffer(1)]]) {
  float3 v = x[1];
  y[0] = v * x[0];
  y[1] = x[0] + x[1];
  y[2] = x[1]; y[2].y = x[0].z; y[2][2] = 9;
  y[3] = packed_float3(float2(x[0].xy), 7); y[3] += float3(1);
}`, threads: line(1), group: line(1)}.on(t, s, x, y)
	require.Equal(t, []float32{4, 10, 18, 5, 7, 9, 4, 3, 9, 2, 3, 8}, y)
}

func TestMatrixOrderWrong(t *testing.T) {
	s := openStandIn(t)
	floats(t, s, `
  float2x3 m(float3(1, 2, 3), float3(4, 5, 6)); // two columns
  float3 v = m * float2(10, 1); y[0] = v.x; y[1] = v.y; y[2] = v.z;
  float2 w = float3(1, 0, 2) * m; y[3] = w.x; y[4] = w.y;
  float3x2 t = transpose(m); y[5] = t[2][0]; y[6] = t[0][1];
  float3x3 p = m * t; y[7] = p[0][0]; y[8] = p[2][1];
  m[1].y = 7; y[9] = m[1][1];
  float4x4 d(3); y[10] = d[2][2]; y[11] = d[2][1];
  y[12] = determinant(float2x2(1, 2, 3, 5)); y[13] = determinant(float3x3(float3(2, 0, 0), float3(1, 3, 0), float3(5, 6, 4)));
  half4x4 h(d * 2.0f); y[14] = h[3][3]; y[15] = (m + m)[0][2];`,
		14, 25, 36, 7, 16, 3, 4, 17, 36, 7, 3, 0, -1, 24, 6, 6)
}

// Round to nearest, ties to even, is what Go's conversion from float64 to float32 does; halfBits and bfloatBits do it
// in integers.
func TestHalfRoundedOtherwise(t *testing.T) {
	s := openStandIn(t)
	var x []float32
	for _, base := range []float32{1, 1.5, 2047, 0.1, 65504, 65519.99, 65520, 1e-7, 6e-8, 2.9e-8, 2.98023e-8, 6.1e-5, 3e38,
		1e-40, 0} {
		for _, ulps := range []int32{-1, 0, 1} {
			f := math.Float32frombits(math.Float32bits(base) + uint32(max(ulps, -int32(min(math.Float32bits(base), 1)))))
			x = append(x, f, -f)
		}
	}
	for i := range 2048 { // between, on and beside the halves and their middles
		x = append(x, math.Float32frombits(uint32(0x3f800000)+uint32(i)<<11),
			math.Float32frombits(uint32(0x3f800001)+uint32(i)<<11), math.Float32frombits(uint32(0x38000000)+uint32(i)<<12))
	}
	x = append(x, float32(math.Inf(1)), float32(math.Inf(-1)))
	h, b, back := make([]uint16, len(x)), make([]uint16, len(x)), make([]float32, len(x))
	run{source: `kernel void k(device const float *x [[buffer(0)]], device half *h [[buffer(1)]], device bfloat *b [[buffer(2)]],
              device float *back [[buffer(3)]], uint i [[thread_position_in_grid]]) {
  h[i] = half(x[i]);
  b[i] = bfloat(x[i]);
  back[i] = float2(half2(float2(x[i]))).y;
}`, threads: line(len(x)), group: line(64)}.on(t, s, x, h, b, back)
	for i, v := range x {
		require.Equal(t, halfBits(v), h[i], "half of %x", v)
		require.Equal(t, bfloatBits(v), b[i], "bfloat of %x", v)
		require.Equal(t, halfValue(halfBits(v)), back[i], "half2 of %x", v)
	}
}

// halfBits rounds to the nearest of the finite halves and infinity by its distance.
func halfBits(f float32) uint16 {
	sign := uint16(0)
	if math.Signbit(float64(f)) {
		sign = 0x8000
	}
	a := math.Abs(float64(f))
	if a >= 65520 {
		return sign | 0x7c00
	}
	lo, hi := uint16(0), uint16(0x7bff)
	for lo < hi {
		mid := (lo + hi + 1) / 2
		if float64(halfValue(mid)) <= a {
			lo = mid
		} else {
			hi = mid - 1
		}
	}
	if lo == 0x7bff {
		return sign | lo
	}
	below, above := a-float64(halfValue(lo)), float64(halfValue(lo+1))-a
	if above < below || above == below && lo&1 == 1 {
		lo++
	}
	return sign | lo
}

func halfValue(h uint16) float32 {
	sign, exponent, mantissa := 1.0, int(h>>10&31), float64(h&1023)
	if h>>15 == 1 {
		sign = -1
	}
	switch exponent {
	case 0:
		return float32(sign * math.Ldexp(mantissa, -24))
	case 31:
		return float32(sign * math.Inf(1))
	}
	return float32(sign * math.Ldexp(1024+mantissa, exponent-25))
}

func bfloatBits(f float32) uint16 {
	u := math.Float32bits(f)
	down := u &^ 0xffff
	rest := u & 0xffff
	if rest > 0x8000 || rest == 0x8000 && down>>16&1 == 1 {
		down += 0x10000
	}
	return uint16(down >> 16)
}

// Each operation on half rounds, rather than the whole expression at its end.
func TestHalfKeepsExcessPrecision(t *testing.T) {
	s := openStandIn(t)
	floats(t, s, `
  half a = 2048, b = 1, c = 0.333251953125h;
  y[0] = a + b + b;                       // 2048 + 1 is 2048
  y[1] = c * c * c;
  half4 v(2048, 1, 1, 2048); v = v + v.yxxy; v = v - half4(2048, 2048, 2048, 2048); y[2] = v.x;
  y[3] = fma(c, c, -0.111h);              // one rounding
  bfloat d = bfloat(256.0f), e = bfloat(1.0f); y[4] = d + e + e;
  y[5] = 1.0h / 3.0h; y[6] = sqrt(2.0h); y[7] = half(1.0) + 0.0004h;
  half sum = 0; for (int i = 0; i < 5000; i++) sum += 1; y[8] = sum;`,
		2048, mulHalf(mulHalf(third, third), third), 0,
		halfValue(halfBits(float32(float64(third)*float64(third)-float64(halfValue(halfBits(0.111)))))),
		256, halfValue(halfBits(1.0/3)), halfValue(halfBits(math.Sqrt2)), 1, 2048)
}

const third = 0.333251953125

func mulHalf(a, b float32) float32 { return halfValue(halfBits(a * b)) }

func TestConversionWrong(t *testing.T) {
	s := openStandIn(t)
	words(t, s, `
  float big = as_type<float>(0x4f800000u), nan = as_type<float>(0x7fc00000u); // 2^32
  y[0] = uint(big); y[1] = uint(-big); y[2] = int(big); y[3] = int(-big); y[4] = uint(nan); y[5] = int(nan); // as GPUs do
  y[6] = uchar(int(300)); y[7] = int(char(200)); y[8] = int(2.9f); y[9] = int(-2.9f); y[10] = ushort(70000u);
  y[11] = as_type<uint>(float(16777217)); y[12] = as_type<uint>(float(4294967295u));
  int4 v = int4(float4(2.5, -2.5, 3e9, -3e9)); y[13] = v.x; y[14] = v.y; y[15] = v.z; y[16] = v.w;
  y[17] = as_type<ushort>(half(1.0)); y[18] = as_type<uint>(half2(1, -2)); y[19] = as_type<uint>(uchar4(1, 2, 3, 4));
  ushort2 h = as_type<ushort2>(0x12345678u); y[20] = h.x; y[21] = h.y;
  y[22] = bool(0.5f); y[23] = uint(bool3(float3(0, -1, NAN)).y); y[24] = uint(true) + uint(bool2(true, false).x);
  y[25] = as_type<uint>(static_cast<float>(half(0.1))); y[26] = as_type<uint>(as_type<float>(uint(0x3f80) << 16));
  y[27] = ulong(0x100000002ul) >> 32; y[28] = uint(0x100000002ul);`,
		0xffffffff, 0, 0x7fffffff, 0x80000000, 0, 0, 44, 0xffffffc8, 2, 0xfffffffe, 4464, 0x4b800000, 0x4f800000,
		2, 0xfffffffe, 0x7fffffff, 0x80000000, 0x3c00, 0xc0003c00, 0x04030201, 0x5678, 0x1234, 1, 1, 2, 0x3dccc000,
		0x3f800000, 1, 2)
}

func TestIntegerFunctionWrong(t *testing.T) {
	s := openStandIn(t)
	words(t, s, `
  uint i = 0;
  #define Y(v) y[i++] = v
  Y(popcount(0xf0f1u)); Y(popcount(uchar(255))); Y(clz(1u)); Y(clz(0u)); Y(clz(ushort(1))); Y(clz(uchar(0))); Y(ctz(8u)); Y(ctz(0u)); Y(ctz(ushort(0)));
  Y(mulhi(0xffffffffu, 0xffffffffu)); Y(mulhi(-2, 3)); Y(madhi(0x80000000u, 4u, 5u)); Y(mulhi(ulong(1) << 63, ulong(6)));
  Y(rotate(0x80000001u, 4u)); Y(rotate(uchar(0x81), uchar(9))); Y(rotate(1u, 32u));
  Y(extract_bits(0xabcd1234u, 8, 8)); Y(extract_bits(int(0xabcd8234), 8, 8)); Y(extract_bits(5u, 0, 0)); Y(extract_bits(0xdeadbeefu, 0, 32));
  Y(insert_bits(0xffffffffu, 0u, 4, 8)); Y(insert_bits(0u, 0xabcu, 28, 4)); Y(insert_bits(7u, 1u, 0, 32)); Y(insert_bits(7u, 1u, 0, 0));
  Y(reverse_bits(1u)); Y(reverse_bits(uchar(0x12))); Y(abs(-5)); Y(abs(int(0x80000000))); Y(absdiff(3u, 5u)); Y(absdiff(-2147483647, 2147483647));
  Y(addsat(0xfffffff0u, 0x20u)); Y(addsat(2147483647, 1)); Y(addsat(int(-2147483647), -2)); Y(addsat(uchar(250), uchar(10)));
  Y(subsat(1u, 2u)); Y(subsat(-2147483647, 2)); Y(subsat(2147483647, -1)); Y(subsat(char(-128), char(1)));
  Y(hadd(0xffffffffu, 0xfffffffdu)); Y(rhadd(3u, 4u)); Y(hadd(-3, -4)); Y(mul24(1000u, 1000u)); Y(mad24(3, -4, 5));
  Y(madsat(65536, 65536, 1)); Y(madsat(-65536, 65536, 1)); Y(madsat(100u, 100u, 5u));
  Y(max(3, -4)); Y(min(3u, 4u)); Y(clamp(10, 1, 5)); Y(max3(1, 9, 4)); Y(min3(1u, 9u, 4u)); Y(median3(7, 2, 5));
  uint4 v = popcount(uint4(1, 3, 7, 15)); Y(v.x + 10 * v.y + 100 * v.z + 1000 * v.w);
  Y(-7 / 2); Y(-7 % 3); Y(7 & -2); Y(1u << 31); Y(as_type<uint>(-1) >> 28); Y(int(0x80000000) >> 31);`,
		9, 8, 31, 32, 15, 8, 3, 32, 16,
		0xfffffffe, 0xffffffff, 7, 3,
		0x18, 0x03, 1,
		0x12, 0xffffff82, 0, 0xdeadbeef,
		0xfffff00f, 0xc0000000, 1, 7,
		0x80000000, 0x48, 5, 0x80000000, 2, 0xfffffffe,
		0xffffffff, 0x7fffffff, 0x80000000, 255,
		0, 0x80000000, 0x7fffffff, 0xffffff80,
		0xfffffffe, 4, 0xfffffffc, 1000000, 0xfffffff9,
		0x7fffffff, 0x80000000, 10005,
		3, 3, 5, 9, 1, 5, 4321,
		0xfffffffd, 0xffffffff, 6, 0x80000000, 15, 0xffffffff)
}
