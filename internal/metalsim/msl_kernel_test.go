//go:build linux && (amd64 || arm64)

package metalsim_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/metalsim"
	"github.com/glm4-metal/glm4-metal/metal"
)

const templates = `
enum Op { add, multiply };
template <typename T, int N, Op op = add>
[[max_total_threads_per_threadgroup(N * 8)]]
kernel void apply(device T *y [[buffer(0)]], device const T *x [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  threadgroup T t[N][2], last;
  t[i % N][1] = x[i];
  last = T(N);
  y[i] = op == add ? t[i % N][1] + last : t[i % N][1] * last;
}
template [[host_name("add_f32")]] kernel void apply<float, 4>(device float *y [[buffer(0)]], device const float *x [[buffer(1)]], uint i [[thread_position_in_grid]]);
typedef decltype(apply<half, 2, multiply>) apply_t;
template [[host_name("multiply_f16")]] [[kernel]] apply_t apply<half, 2, multiply>;
template [[host_name("multiply_u32")]] [[kernel]] decltype(apply<uint, 16, multiply>) apply<uint, 16, multiply>;
namespace inner { kernel void k(device float *y [[buffer(0)]]) { y[0] = 5; } }
[[host_name("re" "named")]] kernel void original(device float *y [[buffer(0)]]) { y[0] = 6; }`

func TestTemplateHostNameWrong(t *testing.T) {
	s := openStandIn(t)
	y, x := make([]float32, 4), []float32{1, 2, 3, 4}
	run{source: templates, kernel: "add_f32", threads: line(4), group: line(1)}.on(t, s, y, x)
	require.Equal(t, []float32{5, 6, 7, 8}, y)
	hy, hx := make([]uint16, 2), []uint16{0x3c00, 0x4000}
	run{source: templates, kernel: "multiply_f16", threads: line(2), group: line(1)}.on(t, s, hy, hx)
	require.Equal(t, []uint16{0x4000, 0x4400}, hy)
	uy, ux := make([]uint32, 2), []uint32{3, 5}
	run{source: templates, kernel: "multiply_u32", threads: line(2), group: line(1)}.on(t, s, uy, ux)
	require.Equal(t, []uint32{48, 80}, uy)
	run{source: templates, kernel: "inner::k", threads: line(1), group: line(1)}.on(t, s, y)
	require.Equal(t, float32(5), y[0])
	run{source: templates, kernel: "renamed", threads: line(1), group: line(1)}.on(t, s, y)
	require.Equal(t, float32(6), y[0])

	library, err := s.device.NewLibrary(header+templates, metal.CompileOptions{})
	require.NoError(t, err)
	defer library.Release()
	require.ElementsMatch(t, []string{"add_f32", "multiply_f16", "multiply_u32", "inner::k", "renamed"},
		library.FunctionNames())
	for name, want := range map[string][2]int{"add_f32": {32, 36}, "multiply_f16": {16, 10}, "multiply_u32": {128, 132}} {
		function, err := library.NewFunction(name, metal.FunctionConstants{})
		require.NoError(t, err)
		defer function.Release()
		pipeline, err := s.device.NewComputePipeline(function)
		require.NoError(t, err)
		defer pipeline.Release()
		require.Equal(t, want[0], pipeline.MaxTotalThreadsPerThreadgroup(), name)
		require.GreaterOrEqual(t, pipeline.StaticThreadgroupMemoryLength(), want[1], name)
		require.Less(t, pipeline.StaticThreadgroupMemoryLength(), want[1]+16, name)
	}
}

func TestFunctionConstantWrong(t *testing.T) {
	s := openStandIn(t)
	r := run{source: `
constant int n [[function_constant(0)]];
constant bool has_bias [[function_constant(1)]];
constant float scale [[function_constant(2)]];
constant float factor = is_function_constant_defined(scale) ? scale : 1;
constant bool twice = has_bias && n > 2;
constant float table[3] = {1, 10, 100};
kernel void k(device float *y [[buffer(0)]], device const float *bias [[buffer(1), function_constant(has_bias)]], uint i [[thread_position_in_grid]]) {
  y[i] = table[i] * n * factor;
  if (has_bias) y[i] += bias[i];
  if (twice) y[i] *= 2;
}`, threads: line(3), group: line(1)}
	y, bias := make([]float32, 3), []float32{1, 2, 3}
	r.constants = func(c metal.FunctionConstants) { c.SetInt(0, 3); c.SetBool(1, true); c.SetFloat(2, 0.5) }
	r.on(t, s, y, bias)
	require.Equal(t, []float32{5, 34, 306}, y)
	r.constants = func(c metal.FunctionConstants) { c.SetInt(0, 2); c.SetBool(1, false) }
	r.on(t, s, y) // without the bias
	require.Equal(t, []float32{2, 20, 200}, y)
}

// The offsets of the fields, padding included, are those that Go's side of the program writes to.
func TestStructFieldMisplaced(t *testing.T) {
	s := openStandIn(t)
	args := make([]uint8, 112)
	for i := range args {
		args[i] = 0xee
	}
	put := func(offset int, values ...float32) { copy(args[offset:], asBytes(values)) }
	args[0] = 7
	put(16, 1, 2, 3)  // float3 at 16
	args[32] = 9      // uchar at 32
	put(36, 4, 5, 6)  // packed_float3 at 36
	args[48] = 1      // bool at 48
	put(64, 8, 9, 10) // struct { float3; ... } at 64
	put(80, 11)       // its second field, aligned to 4
	put(96, 13, 14)   // float2 at 96
	args[104] = 0x00  // half at 104
	args[105] = 0x3c  //
	y := make([]float32, 13)
	run{source: `
struct Inner { float3 a; float b; };
struct Args { uchar a; float3 b; uchar c; packed_float3 d; bool e; Inner f; float2 g; half h; };
static_assert(sizeof(Args) == 112, "");
kernel void k(constant Args &a [[buffer(0)]], device float *y [[buffer(1)]]) {
  Args b = a;
  y[0] = a.a; y[1] = a.b.z; y[2] = b.c; y[3] = a.d[0]; y[4] = b.d.z; y[5] = a.e; y[6] = a.f.a.x; y[7] = b.f.a.z; y[8] = b.f.b;
  y[9] = a.g.x; y[10] = b.g.y; y[11] = a.h; y[12] = sizeof(Inner);
}`, threads: line(1), group: line(1)}.on(t, s, args, y)
	require.Equal(t, []float32{7, 3, 9, 4, 6, 1, 8, 10, 11, 13, 14, 1, 32}, y)
}

func TestAtomicLosesUpdate(t *testing.T) {
	s := openStandIn(t)
	u := []uint32{0, 100, 0, 0xffffffff, 0, 0, 5, 0, 0, 0}
	f := []float32{0}
	run{source: `
kernel void k(device atomic_uint *u [[buffer(0)]], device atomic<float> *f [[buffer(1)]], uint i [[thread_position_in_grid]],
              uint l [[thread_index_in_threadgroup]]) {
  threadgroup atomic_int local;
  if (l == 0) atomic_store_explicit(&local, 0, memory_order_relaxed);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  atomic_fetch_add_explicit(&local, int(i) - 500, memory_order_relaxed);
  atomic_fetch_add_explicit(u + 0, i, memory_order_relaxed);
  atomic_fetch_sub_explicit(u + 1, 1, memory_order_relaxed);
  atomic_fetch_max_explicit(u + 2, i ^ 5, memory_order_relaxed);
  atomic_fetch_min_explicit(u + 3, i + 3, memory_order_relaxed);
  atomic_fetch_or_explicit(u + 4, 1u << (i & 31), memory_order_relaxed);
  atomic_fetch_xor_explicit(u + 5, i, memory_order_relaxed);
  if (i == 7) atomic_fetch_and_explicit(u + 6, 4u, memory_order_relaxed);
  atomic_fetch_add_explicit(f, 0.5f, memory_order_relaxed);
  uint old = atomic_load_explicit(u + 7, memory_order_relaxed);
  while (!atomic_compare_exchange_weak_explicit(u + 7, &old, old + 1, memory_order_relaxed, memory_order_relaxed)) {}
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (l == 0) atomic_fetch_add_explicit(u + 8, uint(atomic_load_explicit(&local, memory_order_relaxed)), memory_order_relaxed);
  if (i == 3) atomic_store_explicit(u + 9, 1 + atomic_exchange_explicit(u + 9, 41u, memory_order_relaxed) + 41, memory_order_relaxed);
}`, threads: line(1000), group: line(96)}.on(t, s, u, f)
	most, odd := uint32(0), uint32(0)
	for i := range uint32(1000) {
		most = max(most, i^5)
		odd ^= i
	}
	// 100 - 1000, the sum of i - 500, in 32 bits
	require.Equal(t, []uint32{499500, 1<<32 - 900, most, 3, 0xffffffff, odd, 4, 1000, 1<<32 - 500, 42}, u)
	require.Equal(t, float32(500), f[0])
}

// Every thread of a grid with ragged edges runs once, and knows where it is.
func TestGridPositionWrong(t *testing.T) {
	s := openStandIn(t)
	for _, c := range []struct{ grid, group metal.Size }{
		{metal.Size{Width: 70, Height: 1, Depth: 1}, metal.Size{Width: 32, Height: 1, Depth: 1}},
		{metal.Size{Width: 1, Height: 1, Depth: 1}, metal.Size{Width: 64, Height: 1, Depth: 1}},
		{metal.Size{Width: 13, Height: 7, Depth: 1}, metal.Size{Width: 8, Height: 4, Depth: 1}},
		{metal.Size{Width: 5, Height: 6, Depth: 7}, metal.Size{Width: 2, Height: 4, Depth: 3}},
		{metal.Size{Width: 9, Height: 1, Depth: 3}, metal.Size{Width: 4, Height: 1, Depth: 2}},
	} {
		n := c.grid.Width * c.grid.Height * c.grid.Depth
		const fields = 24
		y := make([]uint32, fields*n)
		run{source: `
kernel void k(device uint *out [[buffer(0)]], uint3 p [[thread_position_in_grid]], ushort3 q [[thread_position_in_threadgroup]],
              uint3 g [[threadgroup_position_in_grid]], uint3 n [[threads_per_grid]], uint3 m [[threads_per_threadgroup]],
              ushort3 d [[dispatch_threads_per_threadgroup]], uint3 gs [[threadgroups_per_grid]], uint i [[thread_index_in_threadgroup]],
              ushort lane [[thread_index_in_simdgroup]], ushort simd [[simdgroup_index_in_threadgroup]],
              uint width [[threads_per_simdgroup]]) {
  device uint *y = out + 24 * ((p.z * n.y + p.y) * n.x + p.x);
  y[0] += 1;
  y[1] = p.x; y[2] = p.y; y[3] = p.z; y[4] = q.x; y[5] = q.y; y[6] = q.z; y[7] = g.x; y[8] = g.y; y[9] = g.z;
  y[10] = n.x; y[11] = n.y; y[12] = n.z; y[13] = m.x; y[14] = m.y; y[15] = m.z; y[16] = d.x; y[17] = d.z;
  y[18] = gs.x; y[19] = gs.y; y[20] = gs.z; y[21] = i; y[22] = lane + width * simd; y[23] = width;
}`, threads: c.grid, group: c.group}.on(t, s, y)
		groups := func(n, m int) int { return (n + m - 1) / m }
		for z := range c.grid.Depth {
			for yy := range c.grid.Height {
				for x := range c.grid.Width {
					gx, gy, gz := x/c.group.Width, yy/c.group.Height, z/c.group.Depth
					mx, my := min(c.group.Width, c.grid.Width-gx*c.group.Width), min(c.group.Height, c.grid.Height-gy*c.group.Height)
					mz := min(c.group.Depth, c.grid.Depth-gz*c.group.Depth)
					lx, ly, lz := x%c.group.Width, yy%c.group.Height, z%c.group.Depth
					index := (lz*my+ly)*mx + lx
					var want []uint32
					for _, v := range []int{1, x, yy, z, lx, ly, lz, gx, gy, gz, c.grid.Width, c.grid.Height, c.grid.Depth, mx, my, mz,
						c.group.Width, c.group.Depth, groups(c.grid.Width, c.group.Width), groups(c.grid.Height, c.group.Height),
						groups(c.grid.Depth, c.group.Depth), index, index, 32} {
						want = append(want, uint32(v))
					}
					at := fields * ((z*c.grid.Height+yy)*c.grid.Width + x)
					require.Equal(t, want, y[at:at+fields], "thread %d,%d,%d of %v in %v", x, yy, z, c.grid, c.group)
				}
			}
		}
	}
}

func TestLanguageConstructRefused(t *testing.T) {
	s := openStandIn(t)
	floats(t, s, `
  metal::array<float, 3> a = {1, 2, 3};
  float sum = 0; for (uint i = 0; i < 3; i++) sum += a[i]; y[0] = sum + a.size();
  y[1] = metal::is_same_v<remove_const_t<const float>, float> ? 1 : 0;
  metal::vec<half, 4> h(1, 2, 3, 4); y[2] = h.w;
  y[3] = metal::max(1.0f, 2.0f); y[4] = 1.5; y[5] = 2.5h; y[6] = 1e2; y[7] = 0x1p3; y[8] = 'a';
  #pragma unroll
  for (int i = 0; i < 3; i++) y[9] = i;
  constexpr int n = 4; thread float p[n] = {1, 2, 3, 4}; thread const float *q = p + 1; y[10] = q[n - 2];
  switch (n) { case 4: y[11] = 3; break; default: y[11] = 0; }
  y[12] = all((float4)half4(1.5h) == 1.5f) ? 1 : 0;`,
		9, 1, 4, 2, 1.5, 2.5, 100, 8, 97, 2, 4, 3, 1)
}

// Thirty kernels of a template, as a program of ours has them.
func BenchmarkCompileTemplates(b *testing.B) {
	for n := range b.N {
		var source strings.Builder
		fmt.Fprintf(&source, "%s// %d\n", header, time.Now().UnixNano()+int64(n))
		source.WriteString(`template <typename T, int N> kernel void gemv(device T *y [[buffer(0)]], device const T *x [[buffer(1)]], device const uint *w [[buffer(2)]],
  constant uint &cols [[buffer(3)]], uint i [[threadgroup_position_in_grid]], uint lane [[thread_index_in_simdgroup]]) {
  float4 sum = 0;
  for (uint c = lane * N; c < cols; c += 32 * N) for (uint k = 0; k < N; k += 4) {
    uint q = w[(i * cols + c + k) / 8];
    sum += float4(q & 15, q >> 4 & 15, q >> 8 & 15, q >> 12 & 15) * float4(x[c + k], x[c + k + 1], x[c + k + 2], x[c + k + 3]);
  }
  float r = simd_sum(sum.x + sum.y + sum.z + sum.w);
  if (lane == 0) y[i] = T(r);
}
`)
		for k := range 15 {
			for _, typ := range []string{"float", "half"} {
				fmt.Fprintf(&source, "template [[host_name(\"gemv_%s_%d\")]] [[kernel]] decltype(gemv<%s, %d>) gemv<%s, %d>;\n",
					typ, k, typ, 4*(k+1), typ, 4*(k+1))
			}
		}
		_, err := metalsim.Compile(source.String(), metalsim.Options{})
		require.NoError(b, err)
	}
}
