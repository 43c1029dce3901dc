//go:build linux && (amd64 || arm64)

package metalsim_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/metalsim"
	"github.com/glm4-metal/glm4-metal/metal"
)

// rightShaders come close to what the judge looks for, and are right.
var rightShaders = map[string]struct {
	dispatch
	want []float32 // how the last buffer starts
}{
	"atomics in threadgroup and device memory": {
		d1(128, 64, `kernel void k(device atomic_uint *total [[buffer(0)]], device atomic_float *sum [[buffer(1)]], device float *y [[buffer(2)]],
    uint i [[thread_index_in_threadgroup]], uint g [[threadgroup_position_in_grid]]) {
  threadgroup atomic_uint n;
  if (i == 0) atomic_store_explicit(&n, 0, memory_order_relaxed);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  atomic_fetch_add_explicit(&n, i, memory_order_relaxed);
  atomic_fetch_add_explicit(total, 1, memory_order_relaxed);
  atomic_fetch_add_explicit(sum, 0.5f, memory_order_relaxed);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (i == 0) y[g] = atomic_load_explicit(&n, memory_order_relaxed);
}`, 4, 4, 8), []float32{2016, 2016}},
	"a sum over simdgroups": {
		d1(256, 128, `kernel void k(device float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_index_in_threadgroup]],
    uint lane [[thread_index_in_simdgroup]], uint s [[simdgroup_index_in_threadgroup]], uint g [[threadgroup_position_in_grid]]) {
  threadgroup float part[32];
  for (int round = 0; round < 2; round++) {
    float sum = simd_sum(x[g * 128 + i]);
    if (lane == 0) part[s] = sum;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    sum = simd_sum(lane < 4 ? part[lane] : 0);
    if (i == 0) y[g] = sum;
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }
}`, 1024, 8), []float32{128 * 129 / 2, 128*128 + 128*129/2}},
	"halves of one word that two threadgroups write": {
		d1(64, 1, `kernel void k(device half *y [[buffer(0)]], device float *z [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  half v = y[i];
  y[i] = v + 1;
  z[i] = y[i] - v;
}`, 128, 256), []float32{1, 1, 1}},
	"bytes at odd places": {
		d1(31, 7, `kernel void k(device uchar *y [[buffer(0)]], device packed_uchar3 *p [[buffer(1)]], device float *z [[buffer(2)]], uint i [[thread_position_in_grid]]) {
  y[i] = i;
  p[i] = packed_uchar3(uchar3(i, 2, 3));
  z[i] = p[i][0] + y[i];
}`, 32, 96, 124), []float32{0, 2, 4}},
	"a vector of three": {
		d1(32, 32, `kernel void k(device float3 *x [[buffer(0)]], device packed_float3 *p [[buffer(1)]], device float *z [[buffer(2)]], uint i [[thread_position_in_grid]]) {
  threadgroup float3 m[32];
  m[i] = x[i] * 2;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  p[i] = m[31 - i];
  z[i] = p[i].x;
}`, 512, 384, 128), []float32{250, 242}},
	"a struct with padding, by threadgroup memory": {
		d1(32, 32, `struct S { uchar a; float b; half c; };
kernel void k(device float *z [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
  threadgroup S m[32];
  S s;
  s.a = i; s.b = i * 2; s.c = 3;
  m[i] = s;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  S t = m[i ^ 1];
  z[i] = t.a + t.b + t.c;
}`, 128), []float32{6, 3}},
	"a load that a test guards": {
		d1(64, 64, `kernel void k(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  float s = 0;
  for (uint j = 0; j < 4; j++) {
    float a = i + j < 64 ? x[i + j] : 0;
    if (i >= j) s += x[i - j];
    s += a;
  }
  y[i] = s;
}`, 256, 256), []float32{1 + 2 + 3 + 4 + 1}},
	"a value that all lanes store": {
		d1(64, 32, `kernel void k(device float *y [[buffer(0)]]) {
  float s = simd_sum(1.0f);
  y[0] = s;
  y[1] = y[0];
}`, 8), []float32{32, 32}},
	"a tile transposed in threadgroup memory": {
		dispatch{source: `kernel void k(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint2 at [[thread_position_in_threadgroup]],
    uint2 size [[threads_per_threadgroup]], uint2 grid [[threads_per_grid]], uint2 p [[thread_position_in_grid]]) {
  threadgroup float tile[8][9];
  tile[at.y][at.x] = x[p.y * grid.x + p.x];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  y[p.x * grid.y + p.y] = tile[at.y][at.x];
}`, threads: metal.Size{Width: 13, Height: 11, Depth: 1}, group: metal.Size{Width: 8, Height: 8, Depth: 1}, buffers: []int{572, 572}},
		[]float32{1, 14, 27}},
	"copies of private arrays": {
		d1(32, 32, `struct S { float v[40]; };
kernel void k(device const S *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  S s = x[0], t = s;
  t.v[i] = 100;
  for (uint j = 0; j < 40; j++) s.v[j] += t.v[(j + i) % 40];
  y[i] = s.v[0];
}`, 160, 128), []float32{101, 101}},
}

func TestRightShaderRefused(t *testing.T) {
	for name, r := range rightShaders {
		t.Run(name, func(t *testing.T) {
			s := openStandIn(t)
			for _, plain := range []bool{false, true} {
				for order := range 3 {
					require.NoError(t, metalsim.SetOrder(metalsim.Order(order), 5))
					d := r.dispatch
					d.plain = plain
					got, err := d.run(t, s)
					require.NoError(t, err)
					require.Equal(t, r.want, got[len(got)-1][:len(r.want)], "plain %v, order %d", plain, order)
				}
			}
		})
	}
}

// A race shows in plain builds too: as a result that depends on the order.
func TestOrderHidesRace(t *testing.T) {
	exchange := func(barrier string) map[float32]bool {
		results := map[float32]bool{}
		for order := range 3 {
			s := openStandIn(t)
			require.NoError(t, metalsim.SetOrder(metalsim.Order(order), 5))
			got, err := d1(32, 32, `kernel void k(device float *y [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
  threadgroup float m[32];
  m[i] = 0;
  simdgroup_barrier(mem_flags::mem_threadgroup);
  m[i] = i + 1;
  `+barrier+`
  y[i] = m[i ^ 1];
}`, 128).uncounted().run(t, s)
			require.NoError(t, err)
			results[got[0][0]*100+got[0][1]] = true
		}
		return results
	}
	require.Greater(t, len(exchange("")), 1)
	require.Equal(t, map[float32]bool{201: true}, exchange("simdgroup_barrier(mem_flags::mem_threadgroup);"))
}

// Threadgroup memory starts as a pattern, not as the zeros that would hide a missing store.
func TestThreadgroupMemoryZeroed(t *testing.T) {
	s := openStandIn(t)
	got, err := d1(32, 32, `kernel void k(device float *y [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
  threadgroup float m[32];
  if (i == 99) m[0] = 1;
  y[i] = m[i];
}`, 128).uncounted().run(t, s)
	require.NoError(t, err)
	require.True(t, math.IsNaN(float64(got[0][7])))
}
