package metal_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/metal"
)

// A gpu is what most tests need, released at their end.
type gpu struct {
	*metal.Metal
	device metal.Device
	queue  metal.Queue
}

func newGPU(t testing.TB) gpu {
	m := open(t)
	device, err := m.DefaultDevice()
	require.NoError(t, err)
	t.Cleanup(device.Release)
	queue, err := device.NewQueue()
	require.NoError(t, err)
	t.Cleanup(queue.Release)
	return gpu{m, device, queue}
}

// pipeline compiles a kernel.
func (g gpu) pipeline(t testing.TB, source, name string, constants metal.FunctionConstants) metal.ComputePipeline {
	needGPU(t, g.device)
	library, err := g.device.NewLibrary(source, metal.CompileOptions{})
	require.NoError(t, err)
	defer library.Release()
	function, err := library.NewFunction(name, constants)
	require.NoError(t, err)
	defer function.Release()
	pipeline, err := g.device.NewComputePipeline(function)
	require.NoError(t, err)
	t.Cleanup(pipeline.Release)
	return pipeline
}

// buffer allocates n elements of T and returns them with their memory.
func buffer[T any](t testing.TB, g gpu, n int, options metal.ResourceOptions) (metal.Buffer, []T) {
	var zero T
	b, err := g.device.NewBuffer(n*len(metal.Bytes(&zero)), options)
	require.NoError(t, err)
	t.Cleanup(b.Release)
	return b, metal.Slice[T](b.Contents())
}

// compute encodes with f into a command buffer and returns what it came to.
func (g gpu) compute(dispatches metal.DispatchType, f func(metal.ComputeEncoder)) error {
	return g.Do(func() error {
		commands, err := g.queue.NewCommandBuffer()
		if err != nil {
			return err
		}
		defer commands.Release()
		encoder, err := commands.ComputeEncoder(dispatches)
		if err != nil {
			return err
		}
		f(encoder)
		encoder.End()
		commands.Commit()
		return commands.Wait()
	})
}

// line is a size of one dimension.
func line(n int) metal.Size { return metal.Size{Width: n, Height: 1, Depth: 1} }

// kernels are small enough to know their answers by heart.
const kernels = `#include <metal_stdlib>
using namespace metal;

constant int i [[function_constant(0)]];
constant uint u [[function_constant(1)]];
constant bool b [[function_constant(2)]];
constant float f [[function_constant(3)]];

kernel void add(device float *out [[buffer(0)]],
                constant float &x [[buffer(1)]],
                uint at [[thread_position_in_grid]]) {
  out[at] += x;
}

// What one dispatch hands to the next.
kernel void next(device const float *in [[buffer(0)]],
                 device float *out [[buffer(1)]],
                 uint at [[thread_position_in_grid]]) {
  out[at] = in[at] + 1;
}

kernel void constants(device float *out [[buffer(0)]], uint at [[thread_position_in_grid]]) {
  out[0] = float(i);
  out[1] = float(u);
  out[2] = b ? 1 : 0;
  out[3] = f;
}

// The coordinates of every thread, in a grid whose edge is ragged.
kernel void grid(device uint *out [[buffer(0)]],
                 uint3 at [[thread_position_in_grid]],
                 uint3 size [[threads_per_grid]]) {
  out[(at.z * size.y + at.y) * size.x + at.x] = 100 * at.z + 10 * at.y + at.x;
}

kernel void reverse(device float *data [[buffer(0)]],
                    threadgroup float *memory [[threadgroup(0)]],
                    uint at [[thread_position_in_threadgroup]],
                    uint n [[threads_per_threadgroup]]) {
  threadgroup float fixed[16];
  fixed[at] = data[at];
  memory[at] = 100 * data[at];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  data[at] = memory[n - 1 - at] + fixed[n - 1 - at];
}
`
