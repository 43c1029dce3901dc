package metal_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/metal"
)

func TestDispatchesOutOfOrder(t *testing.T) {
	g := newGPU(t)
	next := g.pipeline(t, kernels, "next", metal.FunctionConstants{})
	const n, steps = 100, 8
	var buffers [2]metal.Buffer
	var data [2][]float32
	for i := range buffers {
		buffers[i], data[i] = buffer[float32](t, g, n, metal.StorageShared|metal.HazardTrackingUntracked)
	}
	for _, c := range []struct {
		name       string
		dispatches metal.DispatchType
		barrier    func(metal.ComputeEncoder)
	}{
		{"serial", metal.Serial, func(metal.ComputeEncoder) {}},
		{"barrier", metal.Concurrent, metal.ComputeEncoder.Barrier},
		{"barrier on buffers", metal.Concurrent, func(e metal.ComputeEncoder) { e.BarrierOn(buffers[:]...) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			clear(data[0])
			require.NoError(t, g.compute(c.dispatches, func(e metal.ComputeEncoder) {
				e.SetLabel(c.name)
				e.SetPipeline(next)
				for i := range steps {
					if i > 0 {
						c.barrier(e)
					}
					e.SetBuffer(buffers[i%2], 0, 0)
					e.SetBuffer(buffers[(i+1)%2], 0, 1)
					e.DispatchThreads(line(n), line(32))
				}
			}))
			for _, v := range data[0] {
				require.EqualValues(t, steps, v)
			}
		})
	}
}

func TestOffsetsAndBytesMixedUp(t *testing.T) {
	g := newGPU(t)
	add := g.pipeline(t, kernels, "add", metal.FunctionConstants{})
	out, data := buffer[float32](t, g, 12, metal.StorageShared)
	view, err := out.View(4*8, 4*4)
	require.NoError(t, err)
	require.NoError(t, g.compute(metal.Serial, func(e metal.ComputeEncoder) {
		e.SetPipeline(add)
		for i, x := range []float32{1, 2} {
			if i == 0 {
				e.SetBuffer(out, 0, 0)
			} else {
				e.SetBufferOffset(4*4, 0)
			}
			e.UseResource(out, metal.UsageRead|metal.UsageWrite)
			e.SetBytes(metal.Bytes(&x), 1)
			e.DispatchThreadgroups(line(1), line(4))
		}
		x := float32(3)
		e.SetView(view, 0)
		e.SetBytes(metal.Bytes(&x), 1)
		e.DispatchThreadgroups(line(2), line(2))
	}))
	require.Equal(t, []float32{1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3}, data)
}

func TestBuffersBoundTogetherMixedUp(t *testing.T) {
	g := newGPU(t)
	next := g.pipeline(t, kernels, "next", metal.FunctionConstants{})
	in, from := buffer[float32](t, g, 8, metal.StorageShared)
	out, to := buffer[float32](t, g, 8, metal.StorageShared)
	for i := range from {
		from[i] = float32(i)
	}
	require.NoError(t, g.compute(metal.Serial, func(e metal.ComputeEncoder) {
		e.SetPipeline(next)
		e.SetBuffers([]metal.Buffer{in, out}, []int{4 * 4, 0}, 0)
		e.DispatchThreads(line(2), line(2))
		e.SetBuffers([]metal.Buffer{out}, []int{4 * 4}, 1)
		e.DispatchThreads(line(4), line(4))
	}))
	require.Equal(t, []float32{5, 6, 0, 0, 5, 6, 7, 8}, to)
}

func TestGridOfThreeDimensionsTurned(t *testing.T) {
	g := newGPU(t)
	pipeline := g.pipeline(t, kernels, "grid", metal.FunctionConstants{})
	out, data := buffer[uint32](t, g, 5*3*2, metal.StorageShared)
	require.NoError(t, g.compute(metal.Serial, func(e metal.ComputeEncoder) {
		e.SetPipeline(pipeline)
		e.SetBuffer(out, 0, 0)
		e.DispatchThreads(metal.Size{Width: 5, Height: 3, Depth: 2}, metal.Size{Width: 2, Height: 2, Depth: 1})
	}))
	for i, v := range data {
		require.EqualValues(t, 100*(i/15)+10*(i/5%3)+i%5, v)
	}
}

func TestThreadgroupMemoryUnset(t *testing.T) {
	g := newGPU(t)
	reverse := g.pipeline(t, kernels, "reverse", metal.FunctionConstants{})
	const n = 16
	out, data := buffer[float32](t, g, n, metal.StorageShared)
	for i := range data {
		data[i] = float32(i)
	}
	require.NoError(t, g.compute(metal.Serial, func(e metal.ComputeEncoder) {
		e.SetPipeline(reverse)
		e.SetBuffer(out, 0, 0)
		e.SetThreadgroupMemoryLength(4*n, 0)
		e.DispatchThreadgroups(line(1), line(n))
	}))
	for i, v := range data {
		require.EqualValues(t, 101*(n-1-i), v)
	}
}

func TestSetBytesTooLong(t *testing.T) {
	g := newGPU(t)
	require.NoError(t, g.compute(metal.Serial, func(e metal.ComputeEncoder) {
		require.Panics(t, func() { e.SetBytes(make([]byte, metal.MaxBytes+1), 0) })
		e.SetBytes(make([]byte, metal.MaxBytes), 0)
	}))
}

func TestBlitInTheWrongPlace(t *testing.T) {
	g := newGPU(t)
	from, source := buffer[byte](t, g, 64, metal.StorageShared)
	to, target := buffer[byte](t, g, 64, metal.StorageShared)
	for i := range source {
		source[i] = byte(i)
	}
	require.NoError(t, g.Do(func() error {
		commands, err := g.queue.NewCommandBuffer()
		require.NoError(t, err)
		defer commands.Release()
		blit, err := commands.BlitEncoder()
		require.NoError(t, err)
		blit.SetLabel("blit")
		blit.Copy(from, 8, to, 16, 12)
		blit.Fill(to, 32, 8, 0xAB)
		blit.End()
		commands.Commit()
		return commands.Wait()
	}))
	want := make([]byte, 64)
	copy(want[16:28], source[8:20])
	for i := 32; i < 40; i++ {
		want[i] = 0xAB
	}
	require.Equal(t, want, target)
}

func TestCommandBufferStatusAndTimes(t *testing.T) {
	g := newGPU(t)
	add := g.pipeline(t, kernels, "add", metal.FunctionConstants{})
	out, data := buffer[float32](t, g, 4, metal.StorageShared)
	g.queue.SetLabel("queue")
	for name, newCommandBuffer := range map[string]func() (metal.CommandBuffer, error){
		"retained": g.queue.NewCommandBuffer, "unretained": g.queue.NewCommandBufferUnretained,
	} {
		t.Run(name, func(t *testing.T) {
			clear(data)
			commands, err := newCommandBuffer()
			require.NoError(t, err)
			defer commands.Release()
			commands.SetLabel(name)
			require.Equal(t, metal.NotEnqueued, commands.Status())
			require.Zero(t, commands.GPUStartTime())
			require.NoError(t, g.Do(func() error {
				encoder, err := commands.ComputeEncoder(metal.Serial)
				require.NoError(t, err)
				x := float32(1)
				encoder.SetPipeline(add)
				encoder.SetBuffer(out, 0, 0)
				encoder.SetBytes(metal.Bytes(&x), 1)
				encoder.DispatchThreads(line(4), line(4))
				encoder.End()
				commands.Commit()
				return nil
			}))
			// It outlives the pool that it was filled in.
			commands.WaitScheduled()
			require.GreaterOrEqual(t, commands.Status(), metal.Scheduled)
			require.NoError(t, commands.Wait())
			require.Equal(t, metal.Completed, commands.Status())
			require.Equal(t, "completed", commands.Status().String())
			require.NoError(t, commands.Err())
			require.Positive(t, commands.GPUStartTime())
			require.GreaterOrEqual(t, commands.GPUEndTime(), commands.GPUStartTime())
			require.Less(t, commands.GPUEndTime()-commands.GPUStartTime(), 60.0)
			require.Equal(t, []float32{1, 1, 1, 1}, data)
		})
	}
}

// A queue orders its command buffers; the second reads what the first wrote while the program encodes on.
func TestSecondCommandBufferOvertakes(t *testing.T) {
	g := newGPU(t)
	queue, err := g.device.NewQueueOf(8)
	require.NoError(t, err)
	defer queue.Release()
	g.queue = queue
	next := g.pipeline(t, kernels, "next", metal.FunctionConstants{})
	a, _ := buffer[float32](t, g, 32, metal.StorageShared)
	b, data := buffer[float32](t, g, 32, metal.StorageShared)
	var flight []metal.CommandBuffer
	for i := range 7 {
		require.NoError(t, g.Do(func() error {
			commands, err := g.queue.NewCommandBuffer()
			require.NoError(t, err)
			flight = append(flight, commands)
			encoder, err := commands.ComputeEncoder(metal.Concurrent)
			require.NoError(t, err)
			encoder.SetPipeline(next)
			encoder.SetBuffer(a, 0, i%2)
			encoder.SetBuffer(b, 0, (i+1)%2)
			encoder.DispatchThreads(line(32), line(32))
			encoder.End()
			commands.Commit()
			return nil
		}))
	}
	for _, commands := range flight {
		require.NoError(t, commands.Wait())
		commands.Release()
	}
	require.EqualValues(t, 7, data[31])
}

func TestSharedEventIgnored(t *testing.T) {
	g := newGPU(t)
	event, err := g.device.NewSharedEvent()
	require.NoError(t, err)
	defer event.Release()
	event.SetLabel("event")
	require.Zero(t, event.Value())
	start := time.Now()
	require.False(t, event.Wait(1, 10*time.Millisecond))
	require.GreaterOrEqual(t, time.Since(start), 10*time.Millisecond)

	add := g.pipeline(t, kernels, "add", metal.FunctionConstants{})
	out, data := buffer[float32](t, g, 1, metal.StorageShared)
	require.NoError(t, g.Do(func() error {
		commands, err := g.queue.NewCommandBuffer()
		require.NoError(t, err)
		defer commands.Release()
		commands.EncodeWait(event, 1)
		encoder, err := commands.ComputeEncoder(metal.Serial)
		require.NoError(t, err)
		x := float32(1)
		encoder.SetPipeline(add)
		encoder.SetBuffer(out, 0, 0)
		encoder.SetBytes(metal.Bytes(&x), 1)
		encoder.DispatchThreads(line(1), line(1))
		encoder.End()
		commands.EncodeSignal(event, 2)
		commands.Commit()

		require.False(t, event.Wait(2, 50*time.Millisecond), "it has to wait for the event")
		data[0] = 10
		event.Signal(1)
		require.True(t, event.Wait(2, time.Minute))
		return commands.Wait()
	}))
	require.EqualValues(t, 11, data[0])
	require.EqualValues(t, 2, event.Value())
}

func TestResidencySetForgetsBuffers(t *testing.T) {
	g := newGPU(t)
	if !g.device.SupportsResidencySets() {
		_, err := g.device.NewResidencySet("weights", 1)
		require.ErrorContains(t, err, "macOS 15")
		return
	}
	set, err := g.device.NewResidencySet("weights", 4)
	require.NoError(t, err)
	defer set.Release()
	b, _ := buffer[byte](t, g, 1<<16, metal.StorageShared)
	c, _ := buffer[byte](t, g, 1<<16, metal.StorageShared)
	set.Add(b)
	set.Add(c)
	set.Commit()
	require.GreaterOrEqual(t, set.AllocatedSize(), 2<<16)
	g.queue.AddResidencySet(set)
	set.Request()
	set.End()
	g.queue.RemoveResidencySet(set)
	set.Remove(b)
	set.Commit()
	require.Less(t, set.AllocatedSize(), 2<<16)
	set.RemoveAll()
	set.Commit()
}
