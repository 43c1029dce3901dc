package gpu

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/metal"
	"github.com/glm4-metal/glm4-metal/shaders"
)

func openProbe(t testing.TB, counted bool, bytes int64) *probe {
	d, err := Open(openMetal(t, counted))
	require.NoError(t, err)
	p, err := d.NewProbe(bytes)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, p.Close())
		require.NoError(t, d.Close())
	})
	return p.(*probe)
}

func TestProbeSkipsMemory(t *testing.T) {
	p := openProbe(t, false, 2*tileBytes+1)
	require.Equal(t, 3, p.tiles)
	sums := metal.Slice[uint32](p.sums.Contents())
	for _, n := range []int{1, 2, 3, 7} {
		clear(sums)
		_, err := p.readTiles(n)
		require.NoError(t, err)
		var sum, want uint32
		for _, s := range sums {
			sum += s
		}
		for i := range uint32(min(n, p.tiles) * tileBytes / 4) {
			want += i
		}
		require.Equal(t, want, sum, "%d tiles", n)
	}
}

// Threads of all threadgroups, and none else, write what their work comes to.
func TestPeakComesFromLessThanItCounts(t *testing.T) {
	p := openProbe(t, false, 1)
	sums := metal.Slice[float32](p.sums.Contents())
	for k, turn := range map[*shaders.Kernel]float32{shaders.ProbeMatrices: 1600, shaders.ProbeFloats: 800} {
		for _, turns := range []int{1, peakTurns} {
			clear(sums)
			_, err := p.seconds(k, turns, 3, 2, binding{p.sums, 0})
			require.NoError(t, err)
			for i, sum := range sums[:4*k.Threads] {
				want := turn * float32(turns)
				if i >= 2*k.Threads { // the third is the first of a dispatch of its own
					want = 0
				}
				require.Equal(t, want, sum, "%s: %d turns, thread %d", k.Name, turns, i)
			}
		}
	}
}

func TestChainSkipsADispatch(t *testing.T) {
	p := openProbe(t, false, 1)
	_, err := p.seconds(shaders.ProbeLaunch, 0, 37, 1, binding{p.sums, 0})
	require.NoError(t, err)
	sums := metal.Slice[float32](p.sums.Contents())
	for i, sum := range sums[:64] {
		want := float32(37)
		if i >= 32 {
			want = 0
		}
		require.Equal(t, want, sum, "thread %d", i)
	}
}

func TestProbeKeepsItsMemory(t *testing.T) {
	d, err := Open(openMetal(t, false))
	require.NoError(t, err)
	defer d.Close()
	before := len(d.buffers)
	p, err := d.NewProbe(1)
	require.NoError(t, err)
	require.Equal(t, before+2, len(d.buffers))
	require.NoError(t, p.Close())
	require.Equal(t, before, len(d.buffers))

	_, err = d.NewProbe(1 << 60)
	require.ErrorContains(t, err, "memory to measure with, 1152921504606846976 bytes: ")
	require.Equal(t, before, len(d.buffers))
}

// Loading a model must not pay for what measures.
func TestDeviceCompilesProbes(t *testing.T) {
	d, err := Open(openMetal(t, false))
	require.NoError(t, err)
	defer d.Close()
	require.False(t, d.kernels.has("probe"))
	for range 2 {
		p, err := d.NewProbe(1)
		require.NoError(t, err)
		defer p.Close()
	}
	require.True(t, d.kernels.has("probe"))
}
