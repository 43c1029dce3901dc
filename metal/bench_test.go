package metal_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/metal"
)

// encode is what a program does for a dispatch.
func encode(e metal.ComputeEncoder, pipeline metal.ComputePipeline, out metal.Buffer) {
	x := float32(1)
	e.SetPipeline(pipeline)
	e.SetBuffer(out, 0, 0)
	e.SetBufferOffset(0, 0)
	e.SetBuffers([]metal.Buffer{out}, []int{0}, 0)
	e.SetBytes(metal.Bytes(&x), 1)
	e.DispatchThreads(line(32), line(32))
	e.Barrier()
	e.BarrierOn(out)
}

// BenchmarkEncode times the encoding of one dispatch with what belongs to it.
func BenchmarkEncode(b *testing.B) {
	g := newGPU(b)
	add := g.pipeline(b, kernels, "add", metal.FunctionConstants{})
	out, _ := buffer[float32](b, g, 32, metal.StorageShared)
	b.ReportAllocs()
	const perCommandBuffer = 300
	for b.Loop() {
		b.StopTimer()
		_ = g.Do(func() error {
			commands, err := g.queue.NewCommandBuffer()
			require.NoError(b, err)
			defer commands.Release()
			encoder, err := commands.ComputeEncoder(metal.Concurrent)
			require.NoError(b, err)
			b.StartTimer()
			for range perCommandBuffer {
				encode(encoder, add, out)
			}
			b.StopTimer()
			encoder.End()
			return nil
		})
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*perCommandBuffer), "ns/dispatch")
}

// BenchmarkDispatch times one dispatch in a command buffer of its own, until it has completed.
func BenchmarkDispatch(b *testing.B) {
	g := newGPU(b)
	add := g.pipeline(b, kernels, "add", metal.FunctionConstants{})
	out, _ := buffer[float32](b, g, 32, metal.StorageShared)
	b.ReportAllocs()
	for b.Loop() {
		err := g.compute(metal.Serial, func(e metal.ComputeEncoder) {
			x := float32(1)
			e.SetPipeline(add)
			e.SetBuffer(out, 0, 0)
			e.SetBytes(metal.Bytes(&x), 1)
			e.DispatchThreads(line(32), line(32))
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
