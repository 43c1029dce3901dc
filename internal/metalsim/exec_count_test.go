//go:build linux && (amd64 || arm64)

package metalsim_test

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/metalsim"
	"github.com/glm4-metal/glm4-metal/metal"
)

func line(n int) metal.Size { return metal.Size{Width: n, Height: 1, Depth: 1} }

func TestCounterWrong(t *testing.T) {
	for name, c := range map[string]struct {
		dispatch
		want metalsim.Dispatch
	}{
		"one float a lane": {
			d1(64, 64, `kernel void k(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  y[i] = x[i] * 2 + 1;
}`, 256, 256),
			metalsim.Dispatch{Loads: 64, LoadedBytes: 256, Stores: 64, StoredBytes: 256, DistinctBytes: 512, LoadLines: 2,
				LoadGroups: 2, FloatOps: 128},
		},
		"a line a lane": {
			d1(32, 32, `kernel void k(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  y[i] = x[i * 32];
}`, 4096, 128),
			metalsim.Dispatch{Loads: 32, LoadedBytes: 128, Stores: 32, StoredBytes: 128, DistinctBytes: 256, LoadLines: 32,
				LoadGroups: 1},
		},
		"one line for all lanes, ten times": {
			d1(32, 32, `kernel void k(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], constant float &n [[buffer(2)]], uint i [[thread_position_in_grid]]) {
  float s = 0;
  for (uint j = 0; j < uint(n) * 10; j++) s += x[j];
  y[i] = s;
}`, 40, 128, 4),
			metalsim.Dispatch{Loads: 352, LoadedBytes: 1408, Stores: 32, StoredBytes: 128, DistinctBytes: 172, LoadLines: 11,
				LoadGroups: 11, FloatOps: 320},
		},
		"vectors": {
			d1(32, 32, `kernel void k(device const float4 *x [[buffer(0)]], device float4 *y [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  y[i] = fma(x[i], x[i], 1);
}`, 512, 512),
			metalsim.Dispatch{Loads: 32, LoadedBytes: 512, Stores: 32, StoredBytes: 512, DistinctBytes: 1024, LoadLines: 4,
				LoadGroups: 1, FloatOps: 256},
		},
		"threadgroup memory, barriers, simd operations": {
			d1(64, 64, `kernel void k(device float *y [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
  threadgroup float m[64];
  m[i] = i;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  float s = m[i ^ 32];
  simdgroup_barrier(mem_flags::mem_none);
  y[i] = simd_max(s);
}`, 256),
			metalsim.Dispatch{Stores: 64, StoredBytes: 256, DistinctBytes: 256, ThreadgroupLoadedBytes: 256,
				ThreadgroupStoredBytes: 256,
				SIMDOps:                2, Barriers: 1, SimdgroupBarriers: 2},
		},
		"matrices": {
			d1(32, 32, `kernel void k(device float *y [[buffer(0)]]) {
  simdgroup_float8x8 a, b;
  simdgroup_load(a, y, 8);
  simdgroup_load(b, y + 64, 8);
  simdgroup_multiply(b, a, b);
  simdgroup_store(b, y + 128, 8);
}`, 768),
			metalsim.Dispatch{Loads: 128, LoadedBytes: 512, Stores: 64, StoredBytes: 256, DistinctBytes: 768, LoadLines: 8,
				LoadGroups: 4, SIMDOps: 4, FloatOps: 1024},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for order := range 3 {
				s := openStandIn(t)
				require.NoError(t, metalsim.SetOrder(metalsim.Order(order), 1))
				_, err := c.dispatch.run(t, s)
				require.NoError(t, err)
				counted, err := metalsim.Counters()
				require.NoError(t, err)
				require.Len(t, counted, 1)
				got := counted[0]
				got.Kernel, got.Threads, got.ThreadsPerThreadgroup, got.CommandBuffer, got.ThreadgroupMemory, got.Buffers = "", [3]uint64{}, [3]uint64{}, 0, 0, nil
				require.Equal(t, c.want, got, "order %d", order)
			}
		})
	}
}

const doubleSource = header +
	`kernel void k(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  y[i] = x[i] * 2;
}`

// The pieces of one buffer have counters of their own, also within a word of the bits that tell of touched bytes, and
// across pages.
func TestBytesCountedForAnotherBinding(t *testing.T) {
	for _, c := range []struct{ x, y int }{{0, 132}, {132, 0}, {4, 4092}, {8188, 40}} {
		s := openStandIn(t)
		require.NoError(t, metalsim.SetCounting(true))
		p := s.pipeline(t, doubleSource, "k")
		b, _ := s.buffer(t, 4096)
		require.NoError(t, s.compute(t, func(e metal.ComputeEncoder) {
			e.SetPipeline(p)
			e.SetBuffer(b, c.x, 0)
			e.SetBuffer(b, c.y, 1)
			e.DispatchThreads(line(32), line(32))
		}))
		counted, err := metalsim.Counters()
		require.NoError(t, err)
		require.Equal(t, []metalsim.Binding{
			{Index: 0, Offset: uint64(c.x), Length: 1 << 14, LoadedBytes: 128, DistinctBytes: 128},
			{Index: 1, Offset: uint64(c.y), Length: 1 << 14, StoredBytes: 128, DistinctBytes: 128},
		}, counted[0].Buffers, "%+v", c)
	}
}

func TestDispatchIsComputedAgainstTheLimit(t *testing.T) {
	s := openStandIn(t)
	require.NoError(t, metalsim.SetCounting(true))
	p := s.pipeline(t, doubleSource, "k")
	x, _ := s.buffer(t, 32)
	y, _ := s.buffer(t, 32)
	numbers := metal.Slice[float32](y.Contents())
	metal.Slice[float32](x.Contents())[5] = 21
	for i, want := range []float32{7, 42} {
		numbers[5] = 7
		require.NoError(t, metalsim.SetLimit("compute", uint64(i)))
		for range 2 { // in a command buffer each
			require.NoError(t, s.compute(t, func(e metal.ComputeEncoder) {
				e.SetPipeline(p)
				e.SetBuffer(x, 0, 0)
				e.SetBuffer(y, 0, 1)
				e.DispatchThreads(line(32), line(32))
			}))
		}
		require.Equal(t, want, numbers[5])
		counted, err := metalsim.Counters()
		require.NoError(t, err)
		require.Len(t, counted, 2*i+2)
		last := counted[2*i+1]
		require.Equal(t, [3]uint64{32, 1, 1}, last.Threads)
		require.EqualValues(t, 128*i, last.StoredBytes)
		require.Equal(t, counted[2*i].CommandBuffer+1, last.CommandBuffer)
	}
}

// A gemv is a product of a 4096×4096 matrix of 4-bit codes with a vector.
type gemv struct {
	s        *standIn
	pipeline metal.ComputePipeline
	buffers  []metal.Buffer
	want     []float64 // of every 97th row
	y        []float32
}

const gemvSize = 4096

func newGEMV(t testing.TB, counted bool, workers uint64) gemv {
	source, err := os.ReadFile("testdata/gemv.metal")
	require.NoError(t, err)
	s := openStandIn(t)
	require.NoError(t, metalsim.SetCounting(counted))
	require.NoError(t, metalsim.SetLimit("workers", workers))
	g := gemv{s: s, pipeline: s.pipeline(t, string(source), "gemv_float")}
	const n, groups = gemvSize, gemvSize / 64
	for _, length := range []int{n * n / 8, n * groups, n * groups, n, n, 1, 1} {
		b, _ := s.buffer(t, length)
		g.buffers = append(g.buffers, b)
	}
	floats := func(i int) []float32 { return metal.Slice[float32](g.buffers[i].Contents()) }
	codes, scales, biases, x := g.buffers[0].Contents(), floats(1), floats(2), floats(3)
	state := uint32(1)
	random := func() uint32 { state = state*1664525 + 1013904223; return state >> 8 }
	for i := range codes {
		codes[i] = byte(random())
	}
	for i := range scales {
		scales[i], biases[i] = float32(random()%100)/1000, float32(random()%100)/100
	}
	for i := range x {
		x[i] = float32(random()%100)/50 - 1
	}
	metal.Slice[int32](g.buffers[5].Contents())[0] = n
	metal.Slice[int32](g.buffers[6].Contents())[0] = n
	g.y = floats(4)
	for row := 0; row < n; row += 97 {
		sum := 0.0
		for k := range n {
			code := codes[row*n/2+k/2] >> (k % 2 * 4) & 15
			sum += float64(x[k]) * (float64(code)*float64(scales[row*groups+k/64]) + float64(biases[row*groups+k/64]))
		}
		g.want = append(g.want, sum)
	}
	return g
}

func (g gemv) run(t testing.TB) {
	clear(g.y)
	require.NoError(t, g.s.compute(t, func(e metal.ComputeEncoder) {
		e.SetPipeline(g.pipeline)
		for i, b := range g.buffers {
			e.SetBuffer(b, 0, i)
		}
		e.DispatchThreadgroups(line(gemvSize/8), metal.Size{Width: 32, Height: 2, Depth: 1})
	}))
	for i, want := range g.want {
		require.InDelta(t, want, g.y[i*97], 1e-2)
	}
}

// The figures of MLX's kernel of the same shape: 33.8 MB loaded, 7.36 lines of 128 bytes a load of a simdgroup, 2.70
// float operations a multiply-add.
func TestGEMVCountsStrayed(t *testing.T) {
	g := newGEMV(t, true, 1)
	g.run(t)
	counted, err := metalsim.Counters()
	require.NoError(t, err)
	c := counted[0]
	require.InDelta(t, 33.8, float64(c.LoadedBytes)/1e6, 0.2)
	require.InDelta(t, 7.36, float64(c.LoadLines)/float64(c.LoadGroups), 0.03)
	require.InDelta(t, 2.70, float64(c.FloatOps)/gemvSize/gemvSize, 0.01)
	require.EqualValues(t, 4*gemvSize/4, c.SIMDOps)
}

func BenchmarkGEMV(b *testing.B) {
	for _, c := range []struct {
		name    string
		counted bool
		workers uint64
	}{{"plain", false, 1}, {"plain on two cores", false, 2}, {"counted", true, 1}} {
		b.Run(c.name, func(b *testing.B) {
			g := newGEMV(b, c.counted, c.workers)
			g.run(b)
			b.ResetTimer()
			for range b.N {
				g.run(b)
			}
		})
	}
}

// BenchmarkFiberSwitch reports the time of one switch between lanes, exchange of a value included.
func BenchmarkFiberSwitch(b *testing.B) {
	s := openStandIn(b)
	require.NoError(b, metalsim.SetLimit("workers", 1))
	for name, operation := range map[string]string{"barrier": "simdgroup_barrier(mem_flags::mem_none);",
		"shuffle": "n = simd_shuffle_xor(n, 1);"} {
		b.Run(name, func(b *testing.B) {
			pipeline := s.pipeline(b, header+`kernel void k(device uint *y [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  uint n = i;
  for (uint j = 0; j < y[0]; j++) { `+operation+` }
  if (i == 0) y[1] = n;
}`, "k")
			y, _ := s.buffer(b, 2)
			const rounds = 10000
			metal.Slice[uint32](y.Contents())[0] = rounds
			start := time.Now()
			for range b.N {
				require.NoError(b, s.compute(b, func(e metal.ComputeEncoder) {
					e.SetPipeline(pipeline)
					e.SetBuffer(y, 0, 0)
					e.DispatchThreads(line(32), line(32))
				}))
			}
			b.ReportMetric(float64(time.Since(start).Nanoseconds())/float64(b.N)/rounds/32, "ns/switch")
		})
	}
}
