package metal_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/metal"
)

// Queues, and everything but command buffers and encoders, may be used by several threads at once.
func TestTwoThreadsDisturbEachOther(t *testing.T) {
	g := newGPU(t)
	next := g.pipeline(t, kernels, "next", metal.FunctionConstants{})
	var threads sync.WaitGroup
	results := make([]float32, 2)
	for i := range results {
		queue, err := g.device.NewQueue()
		require.NoError(t, err)
		defer queue.Release()
		a, data := buffer[float32](t, g, 64, metal.StorageShared)
		b, _ := buffer[float32](t, g, 64, metal.StorageShared)
		own := gpu{g.Metal, g.device, queue}
		threads.Go(func() {
			for range 50 {
				err := own.compute(metal.Serial, func(e metal.ComputeEncoder) {
					e.SetPipeline(next)
					for step := range 4 {
						e.SetBuffer(a, 0, step%2)
						e.SetBuffer(b, 0, (step+1)%2)
						e.DispatchThreads(line(64), line(32))
					}
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
			results[i] = data[63]
		})
	}
	threads.Wait()
	require.Equal(t, []float32{200, 200}, results)
}
