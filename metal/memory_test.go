//go:build !race

package metal_test

import (
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/metal"
)

// The race detector allocates, and makes pools lose things, so these run without it.

// peak returns the most memory that the process has had resident, in bytes.
func peak(t *testing.T) int {
	var usage syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	if runtime.GOOS == "darwin" {
		return int(usage.Maxrss)
	}
	return int(usage.Maxrss) << 10
}

func TestTenThousandDispatchesGrow(t *testing.T) {
	g := newGPU(t)
	next := g.pipeline(t, kernels, "next", metal.FunctionConstants{})
	a, _ := buffer[float32](t, g, 32, metal.StorageShared)
	b, _ := buffer[float32](t, g, 32, metal.StorageShared)
	dispatch := func(n int) {
		for range n {
			require.NoError(t, g.compute(metal.Serial, func(e metal.ComputeEncoder) {
				e.SetPipeline(next)
				e.SetBytes(make([]byte, 64), 2)
				e.SetBuffer(a, 0, 0)
				e.SetBuffer(b, 0, 1)
				e.DispatchThreads(line(32), line(32))
			}))
		}
	}
	dispatch(100)
	memory, heap, allocated, objects := peak(t), goObjects(), g.device.CurrentAllocatedSize(), liveObjects(t)
	dispatch(10000)
	require.Equal(t, objects, liveObjects(t))
	require.LessOrEqual(t, g.device.CurrentAllocatedSize(), allocated)
	require.Less(t, goObjects()-heap, 1000)
	// A leaked command buffer of Metal has several kilobytes; the stand-in keeps about 20 MB of freed objects to name
	// their later use.
	require.Less(t, peak(t)-memory, 48<<20, "bytes that 10,000 dispatches left behind")
}

// goObjects counts the objects in Go's heap.
func goObjects() int {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int(stats.HeapObjects)
}

func TestEncodingAllocates(t *testing.T) {
	g := newGPU(t)
	add := g.pipeline(t, kernels, "add", metal.FunctionConstants{})
	out, _ := buffer[float32](t, g, 32, metal.StorageShared)
	require.NoError(t, g.compute(metal.Concurrent, func(e metal.ComputeEncoder) {
		require.Zero(t, testing.AllocsPerRun(200, func() { encode(e, add, out) }))
	}))
}
