//go:build linux && (amd64 || arm64)

package metalsim_test

import (
	"strings"
	"testing"
	"unsafe"

	"github.com/ebitengine/purego"
	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/metalsim"
	"github.com/glm4-metal/glm4-metal/metal"
)

const header = "#include <metal_stdlib>\nusing namespace metal;\n"

// A dispatch of one kernel, called k, of a source that follows header: its first line is line 3.
type dispatch struct {
	source  string
	threads metal.Size // of the grid
	group   metal.Size
	buffers []int // lengths in bytes, 0: not bound; each starts as 1, 2, 3, ... in float32
	memory  []int // lengths of threadgroup memory
	plain   bool  // without instrumentation
}

// A wrongShader does what the judge must name, and its right twin does not.
type wrongShader struct {
	name  string
	wrong dispatch
	want  []string // parts of the error
	right string   // the twin's source
}

func d1(threads, group int, source string, buffers ...int) dispatch {
	return dispatch{source: source, threads: metal.Size{Width: threads, Height: 1, Depth: 1},
		group: metal.Size{Width: group, Height: 1, Depth: 1}, buffers: buffers}
}

func (d dispatch) with(memory ...int) dispatch { d.memory = memory; return d }
func (d dispatch) uncounted() dispatch         { d.plain = true; return d }

var wrongShaders = []wrongShader{
	{"a load past the end of a buffer",
		d1(32, 32, `kernel void k(device const float *x [[buffer(0)]], device float *y [[buffer(1)]],
    uint i [[thread_position_in_grid]]) {
  y[i] = x[i + 1];
}`, 128, 128),
		[]string{"kernel 'k'", "program_source:5:", "threadgroup (0,0,0)", "thread (31,0,0)",
			"load of 4 bytes outside buffer 0 'x'", "of 128 bytes at offset 128"},
		`kernel void k(device const float *x [[buffer(0)]], device float *y [[buffer(1)]],
    uint i [[thread_position_in_grid]]) {
  y[i] = i + 1 < 32 ? x[i + 1] : 0;
}`},
	{"a load over the end of a buffer",
		d1(8, 8, `kernel void k(device const float4 *x [[buffer(0)]], device float *y [[buffer(1)]],
    uint i [[thread_position_in_grid]]) {
  y[i] = x[i].x + x[i].w;
}`, 120, 128),
		[]string{"program_source:5", "thread (7,0,0)", "load of", "buffer 0 'x'", "of 120 bytes"},
		`kernel void k(device const float4 *x [[buffer(0)]], device float *y [[buffer(1)]],
    uint i [[thread_position_in_grid]]) {
  if (i < 7) y[i] = x[i].x + x[i].w;
}`},
	{"a store before the start of a buffer",
		d1(32, 32, `kernel void k(device float *y [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  y[int(i) - 1] = 1;
}`, 128),
		[]string{"program_source:4", "thread (0,0,0)", "store of 4 bytes outside buffer 0 'y'", "at offset -4"},
		`kernel void k(device float *y [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  y[int(i)] = 1;
}`},
	{"a struct copied past the end of a buffer", d1(1, 1, `struct S { float v[30]; };
kernel void k(device const S *x [[buffer(0)]], device S *y [[buffer(1)]]) {
  y[0] = x[1];
}`, 200, 120),
		[]string{"program_source:5", "load of 120 bytes over the end of buffer 0 'x'", "of 200 bytes at offset 120"},
		`struct S { float v[30]; };
kernel void k(device const S *x [[buffer(0)]], device S *y [[buffer(1)]]) {
  y[0] = x[0];
}`},
	{"a load past the page of a buffer, plain",
		d1(32, 32, `kernel void k(device const float *x [[buffer(0)]], device float *y [[buffer(1)]],
    uint i [[thread_position_in_grid]]) {
  y[i] = x[i * 1024 + 1];
}`, 4096, 128).uncounted(),
		[]string{"kernel 'k'", "threadgroup (0,0,0)", "thread (1,0,0)", "access outside buffer 0 'x'", "at offset 4100"},
		`kernel void k(device const float *x [[buffer(0)]], device float *y [[buffer(1)]],
    uint i [[thread_position_in_grid]]) {
  y[i] = x[i + 1];
}`},
	{"a misaligned load", d1(1, 1, `kernel void k(device const float *x [[buffer(0)]], device float4 *y [[buffer(1)]]) {
  y[0] = *(device const float4 *)(x + 1);
}`, 128, 128),
		[]string{"program_source:4", "load of 16 bytes misaligned: 16 bytes asked for", "buffer 0 'x'", "at offset 4"},
		`kernel void k(device const float *x [[buffer(0)]], device float4 *y [[buffer(1)]]) {
  y[0] = *(device const packed_float4 *)(x + 1);
}`},
	{"a buffer that is not bound",
		d1(1, 1, `kernel void k(device float *y [[buffer(0)]], device const float *x [[buffer(1)]]) {
  y[0] = x[3];
}`, 128),
		[]string{"x [[buffer(1)]] is not bound"},
		`kernel void k(device float *y [[buffer(0)]]) {
  y[0] = 3;
}`},
	{"a buffer shorter than its struct", d1(1, 1, `struct S { float a, b, c; };
kernel void k(device float *y [[buffer(0)]], constant S &s [[buffer(1)]]) {
  y[0] = s.a;
}`, 128, 8),
		[]string{"s [[buffer(1)]] takes 12 bytes"},
		`struct S { float a, b; };
kernel void k(device float *y [[buffer(0)]], constant S &s [[buffer(1)]]) {
  y[0] = s.a;
}`},
	{"a write through const", d1(1, 1, `kernel void k(device const float *x [[buffer(0)]]) {
  *(device float *)x = 3;
}`, 128),
		[]string{"program_source:4", "write through constant or const: buffer 0 'x'", "at offset 0"},
		`kernel void k(device float *x [[buffer(0)]]) {
  *(device float *)x = 3;
}`},
	{"a write to constant", d1(1, 1, `kernel void k(constant float *x [[buffer(0)]]) {
  *(device float *)(ulong)(x + 1) = 3;
}`, 128),
		[]string{"program_source:4", "write through constant or const: buffer 0 'x'", "at offset 4"},
		`kernel void k(device float *x [[buffer(0)]]) {
  *(device float *)(ulong)(x + 1) = 3;
}`},
	{"a barrier that returned threads miss",
		d1(64, 64, `kernel void k(device float *y [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
  if (i == 5) return;
  threadgroup_barrier(mem_flags::mem_device);
  y[i] = 1;
}`, 256),
		[]string{"program_source:5", "threadgroup_barrier is missed by other threads: thread (5,0,0) has returned"},
		`kernel void k(device float *y [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
  threadgroup_barrier(mem_flags::mem_device);
  if (i == 5) return;
  y[i] = 1;
}`},
	{"two barriers for one",
		d1(64, 64, `kernel void k(device float *y [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
  if (i < 32) threadgroup_barrier(mem_flags::mem_device);
  else
    threadgroup_barrier(mem_flags::mem_device);
  y[i] = 1;
}`, 256),
		[]string{"program_source:4",
			"threadgroup_barrier is missed by other threads: thread (32,0,0) is in threadgroup_barrier at 6:"},
		`kernel void k(device float *y [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
  threadgroup_barrier(mem_flags::mem_device);
  y[i] = 1;
}`},
	{"a simd operation that lanes miss",
		d1(32, 32, `kernel void k(device float *y [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
  float s = 0;
  if (i < 16) s = simd_sum(y[i]);
  threadgroup_barrier(mem_flags::mem_device);
  y[i] = s;
}`, 128),
		[]string{"program_source:5",
			"simd_sum is missed by other lanes of the simdgroup: thread (16,0,0) is in threadgroup_barrier at 6:"},
		`kernel void k(device float *y [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
  float s = simd_sum(i < 16 ? y[i] : 0);
  threadgroup_barrier(mem_flags::mem_device);
  y[i] = s;
}`},
	{"simd operations in two places",
		d1(32, 32, `kernel void k(device float *y [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
  if (i < 16)
    y[i] = simd_sum(1.0f);
  else
    y[i] = simd_sum(2.0f);
}`, 128),
		[]string{"program_source:", "simd_sum is missed by other lanes of the simdgroup", "is in simd_sum at "},
		// Lanes that have returned are not missed.
		`kernel void k(device float *y [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
  if (i >= 16) return;
  y[i] = simd_sum(1.0f);
}`},
	{"a quad operation that a lane misses",
		d1(32, 32, `kernel void k(device float *y [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
  if (i != 5) y[i] = quad_sum(1.0f);
  simdgroup_barrier(mem_flags::mem_none);
}`, 128),
		[]string{"program_source:", "quad_sum", "missed by other lanes"},
		`kernel void k(device float *y [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
  if (i / 4 != 1) y[i] = quad_sum(1.0f);
  simdgroup_barrier(mem_flags::mem_none);
}`},
	{"a shuffle from a lane that is not there",
		d1(16, 16, `kernel void k(device float *y [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
  y[i] = simd_shuffle_xor(y[i], 16);
}`, 64),
		[]string{"program_source:4", "reads a lane that takes no part"},
		`kernel void k(device float *y [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
  y[i] = simd_shuffle_xor(y[i], 8);
}`},
	{"a matrix without all lanes", d1(16, 16, `kernel void k(device float *y [[buffer(0)]]) {
  simdgroup_float8x8 m;
  simdgroup_load(m, y, 8);
  simdgroup_store(m, y, 8);
}`, 256),
		[]string{"program_source:5", "without all 32 lanes"},
		`kernel void k(device float *y [[buffer(0)]]) {
  y[0] = 1;
}`},
	{"a matrix past the end of a buffer", d1(32, 32, `kernel void k(device float *y [[buffer(0)]]) {
  simdgroup_float8x8 m;
  simdgroup_load(m, y, 9);
  simdgroup_store(m, y, 8);
}`, 256),
		[]string{"program_source:5", "load of 4 bytes outside buffer 0 'y'", "of 256 bytes"},
		`kernel void k(device float *y [[buffer(0)]]) {
  simdgroup_float8x8 m;
  simdgroup_load(m, y, 8);
  simdgroup_store(m, y, 8);
}`},
	{"threadgroup memory read by another simdgroup without a barrier",
		d1(64, 64, `kernel void k(device float *y [[buffer(0)]], threadgroup float *m [[threadgroup(0)]], uint i [[thread_index_in_threadgroup]]) {
  m[i] = i;
  simdgroup_barrier(mem_flags::mem_threadgroup);
  y[i] = m[i ^ 32];
}`, 256).with(256),
		[]string{"program_source:", "threadgroup memory 0"},
		`kernel void k(device float *y [[buffer(0)]], threadgroup float *m [[threadgroup(0)]], uint i [[thread_index_in_threadgroup]]) {
  m[i] = i;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  y[i] = m[i ^ 32];
}`},
	{"threadgroup memory written again without a barrier",
		d1(64, 64, `kernel void k(device float *y [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
  threadgroup float m[64];
  m[i] = i;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  float v = m[i ^ 32];
  m[i] = v + 1;
  y[i] = v;
}`, 256),
		[]string{"program_source:7",
			"race on threadgroup variables of 256 bytes at offset 0: read after thread (0,0,0) wrote it"},
		`kernel void k(device float *y [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
  threadgroup float m[64];
  m[i] = i;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  float v = m[i ^ 32];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  m[i] = v + 1;
  y[i] = v;
}`},
	{"lanes that exchange values in memory without a barrier", d1(32, 32,
		`kernel void k(device float *y [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
  threadgroup float m[32];
  m[i] = 0;
  simdgroup_barrier(mem_flags::mem_threadgroup);
  m[i] = i + 1;
  y[i] = m[i ^ 1];
}`, 128),
		[]string{"race on threadgroup variables", "with no barrier between that orders this memory"},
		`kernel void k(device float *y [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
  threadgroup float m[32];
  m[i] = 0;
  simdgroup_barrier(mem_flags::mem_threadgroup);
  m[i] = i + 1;
  simdgroup_barrier(mem_flags::mem_threadgroup);
  y[i] = m[i ^ 1];
}`},
	{"a barrier that orders other memory",
		d1(64, 64, `kernel void k(device float *y [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
  threadgroup float m[64];
  m[i] = i;
  threadgroup_barrier(mem_flags::mem_device);
  y[i] = m[i ^ 32];
}`, 256),
		[]string{"program_source:7", "race on threadgroup variables", "read after thread (32,0,0) wrote it"},
		`kernel void k(device float *y [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
  threadgroup float m[64];
  m[i] = i;
  threadgroup_barrier(mem_flags::mem_device | mem_flags::mem_threadgroup);
  y[i] = m[i ^ 32];
}`},
	{"two threads that store different values",
		d1(64, 64, `kernel void k(device float *y [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
  threadgroup float m;
  m = i;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  y[i] = m;
}`, 256),
		[]string{"program_source:5", "race on threadgroup variables of 4 bytes at offset 0: write after thread",
			"wrote another value"},
		`kernel void k(device float *y [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
  threadgroup float m;
  m = 7;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  y[i] = m;
}`},
	{"device memory written by two threadgroups",
		d1(64, 32, `kernel void k(device float *y [[buffer(0)]], uint g [[threadgroup_position_in_grid]],
    uint i [[thread_index_in_threadgroup]]) {
  if (i == 0) y[0] = g + 7;
}`, 256),
		[]string{"program_source:5", "race on buffer 0 'y'", "of threadgroup",
			"wrote another value; nothing orders threadgroups"},
		`kernel void k(device float *y [[buffer(0)]], uint g [[threadgroup_position_in_grid]],
    uint i [[thread_index_in_threadgroup]]) {
  if (i == 0) y[0] = 7;
}`},
	{"device memory read by another threadgroup",
		d1(64, 32, `kernel void k(device float *y [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  float v = y[i ^ 32];
  y[i] = v + 100;
}`, 256),
		[]string{"race on buffer 0 'y'", "nothing orders threadgroups"},
		`kernel void k(device float *y [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  float v = y[i];
  y[i] = v + 100;
}`},
	{"a counter that is not atomic",
		d1(64, 32, `kernel void k(device uint *y [[buffer(0)]], uint i [[thread_index_in_simdgroup]]) {
  if (i == 0) *y = *y + 1;
}`, 4),
		[]string{"program_source:4", "race on buffer 0 'y'"},
		`kernel void k(device atomic_uint *y [[buffer(0)]], uint i [[thread_index_in_simdgroup]]) {
  if (i == 0) atomic_fetch_add_explicit(y, 1, memory_order_relaxed);
}`},
	{"device memory of one threadgroup without a barrier",
		d1(64, 64, `kernel void k(device float *y [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  y[i] = i + 100;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  y[i + 64] = y[i ^ 32];
}`, 512),
		[]string{"program_source:6", "race on buffer 0 'y'", "with no barrier between"},
		`kernel void k(device float *y [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  y[i] = i + 100;
  threadgroup_barrier(mem_flags::mem_device);
  y[i + 64] = y[i ^ 32];
}`},
	{"threadgroup memory never written",
		d1(64, 32, `kernel void k(device float *y [[buffer(0)]], uint i [[thread_index_in_threadgroup]], uint g [[threadgroup_position_in_grid]]) {
  threadgroup float m[32];
  if (g == 0 || i < 31) m[i] = i;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  y[g * 32 + i] = m[i];
}`, 256),
		[]string{"program_source:7", "threadgroup (1,0,0)", "thread (31,0,0)",
			"read of threadgroup memory never written: threadgroup variables of 128 bytes at offset 124"},
		`kernel void k(device float *y [[buffer(0)]], uint i [[thread_index_in_threadgroup]], uint g [[threadgroup_position_in_grid]]) {
  threadgroup float m[32];
  if (g == 0 || i < 31) m[i] = i;
  else m[i] = 0;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  y[g * 32 + i] = m[i];
}`},
	{"threadgroup memory past its end",
		d1(32, 32, `kernel void k(device float *y [[buffer(0)]], threadgroup float *m [[threadgroup(0)]], uint i [[thread_index_in_threadgroup]]) {
  m[i + 1] = i;
  y[i] = m[i + 1];
}`, 128).with(128),
		[]string{"program_source:4", "thread (31,0,0)",
			"store of 4 bytes outside threadgroup memory 0 of 128 bytes at offset 128"},
		`kernel void k(device float *y [[buffer(0)]], threadgroup float *m [[threadgroup(0)]], uint i [[thread_index_in_threadgroup]]) {
  m[i] = i;
  y[i] = m[i];
}`},
	{"threadgroup memory far past its end, plain",
		d1(32, 32, `kernel void k(device float *y [[buffer(0)]], threadgroup float *m [[threadgroup(0)]], uint i [[thread_index_in_threadgroup]]) {
  m[i * 4] = i;
  y[i] = m[i * 4];
}`, 128).with(128).uncounted(),
		[]string{"kernel 'k'", "thread (8,0,0)", "access outside threadgroup memory 0 of 128 bytes at offset 128"},
		`kernel void k(device float *y [[buffer(0)]], threadgroup float *m [[threadgroup(0)]], uint i [[thread_index_in_threadgroup]]) {
  m[i] = i;
  y[i] = m[i];
}`},
	{"a loop that does not end", d1(1, 1, `kernel void k(device float *y [[buffer(0)]]) {
  while (y[0] > 0) y[1] = y[1] + 1;
}`, 128),
		[]string{"kernel 'k'", "thread (0,0,0)", "does not end: the limit is 100000"},
		`kernel void k(device float *y [[buffer(0)]]) {
  while (y[0] > 0) y[0] = y[0] - 1;
}`},
	{"a loop that does not end, plain", d1(1, 1, `kernel void k(device atomic_uint *y [[buffer(0)]]) {
  while (atomic_load_explicit(y, memory_order_relaxed) > 0) {}
}`, 128).uncounted(),
		[]string{"kernel 'k'", "thread (0,0,0)", "does not end"},
		`kernel void k(device atomic_uint *y [[buffer(0)]]) {
  while (atomic_exchange_explicit(y, 0, memory_order_relaxed) > 0) {}
}`},
	{"a stack that overflows",
		d1(1, 1, `kernel void k(device float *y [[buffer(0)]], device const uint *at [[buffer(1)]]) {
  float a[100000];
  for (uint i = 0; i < 100000; i++) a[i] = y[i & 7];
  y[0] = a[at[0] % 100000];
}`, 128, 128),
		[]string{"kernel 'k'", "thread (0,0,0)", "stack overflow"},
		`kernel void k(device float *y [[buffer(0)]], device const uint *at [[buffer(1)]]) {
  float a[1000];
  for (uint i = 0; i < 1000; i++) a[i] = y[i & 7];
  y[0] = a[at[0] % 1000];
}`},
}

// A standIn is the device of a test.
type standIn struct {
	*metal.Metal
	device metal.Device
	queue  metal.Queue
	// After how many accesses and basic blocks of a thread, and nanoseconds of a threadgroup, a kernel counts as endless.
	setEndless func(steps, nanoseconds uint64)
}

func openStandIn(t testing.TB) *standIn {
	path, err := metalsim.Library()
	require.NoError(t, err)
	require.NoError(t, metalsim.Reset())
	t.Cleanup(func() { require.NoError(t, metalsim.Reset()) })
	s := &standIn{}
	s.Metal, err = metal.OpenLibraries(path)
	require.NoError(t, err)
	handle, err := purego.Dlopen(path, purego.RTLD_NOW)
	require.NoError(t, err)
	purego.RegisterLibFunc(&s.setEndless, handle, "sim_set_endless")
	s.device, err = s.DefaultDevice()
	require.NoError(t, err)
	t.Cleanup(s.device.Release)
	s.queue, err = s.device.NewQueue()
	require.NoError(t, err)
	t.Cleanup(s.queue.Release)
	return s
}

func (s *standIn) pipeline(t testing.TB, source, name string) metal.ComputePipeline {
	library, err := s.device.NewLibrary(source, metal.CompileOptions{})
	require.NoError(t, err)
	defer library.Release()
	function, err := library.NewFunction(name, metal.FunctionConstants{})
	require.NoError(t, err)
	defer function.Release()
	pipeline, err := s.device.NewComputePipeline(function)
	require.NoError(t, err)
	t.Cleanup(pipeline.Release)
	return pipeline
}

func (s *standIn) compute(t testing.TB, encode func(metal.ComputeEncoder)) error {
	return s.Do(func() error {
		commands, err := s.queue.NewCommandBuffer()
		require.NoError(t, err)
		defer commands.Release()
		encoder, err := commands.ComputeEncoder(metal.Serial)
		require.NoError(t, err)
		encode(encoder)
		encoder.End()
		commands.Commit()
		return commands.Wait()
	})
}

// run compiles and runs a dispatch on a device of its own. It returns the error of the command buffer and the buffers.
func (d dispatch) run(t testing.TB, s *standIn) ([][]float32, error) {
	require.NoError(t, metalsim.SetCounting(!d.plain))
	s.setEndless(100000, 50e6)
	defer s.setEndless(1<<28, 20e9)
	pipeline := s.pipeline(t, header+d.source, "k")
	var bound []metal.Buffer
	var contents [][]float32
	for _, length := range d.buffers {
		b, err := s.device.NewBuffer(length, metal.StorageShared)
		require.NoError(t, err)
		t.Cleanup(b.Release)
		values := unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(b.Contents()))), length/4)
		for i := range values {
			values[i] = float32(i + 1)
		}
		bound = append(bound, b)
		contents = append(contents, values)
	}
	err := s.compute(t, func(e metal.ComputeEncoder) {
		e.SetPipeline(pipeline)
		for i, b := range bound {
			e.SetBuffer(b, 0, i)
		}
		for i, length := range d.memory {
			e.SetThreadgroupMemoryLength(length, i)
		}
		e.DispatchThreads(d.threads, d.group)
	})
	return contents, err
}

func TestWrongShaderPasses(t *testing.T) {
	for _, w := range wrongShaders {
		t.Run(strings.ReplaceAll(w.name, " ", "_"), func(t *testing.T) {
			s := openStandIn(t)
			for order := range 3 {
				require.NoError(t, metalsim.SetOrder(metalsim.Order(order), 7))
				_, err := w.wrong.run(t, s)
				require.Error(t, err, "order %d", order)
				if order == 0 {
					for _, part := range w.want {
						require.ErrorContains(t, err, part)
					}
				}
				right := w.wrong
				right.source = w.right
				_, err = right.run(t, s)
				require.NoError(t, err, "the right twin, order %d", order)
			}
		})
	}
}

// Go's own handling of faults still works after the executor's.
func TestGoFaultLost(t *testing.T) {
	s := openStandIn(t)
	for range 3 {
		_, err := d1(1, 1, `kernel void k(device float *y [[buffer(0)]]) { y[1 << 20] = 1; }`, 128).uncounted().run(t, s)
		require.ErrorContains(t, err, "access outside buffer 0 'y'")
		require.Panics(t, func() {
			var p *int
			*p = 1
		})
	}
}
