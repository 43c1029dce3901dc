package model

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/metalsim"
	"github.com/glm4-metal/glm4-metal/loader"
)

// What only the stand-in can be made to do.

func tinyCheckpoint(t *testing.T) *loader.Checkpoint {
	c, err := loader.Open(t.Context(), "testdata/glm4-a")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

func TestWorkingSetIsOverrun(t *testing.T) {
	on := onMetal(t)
	require.NoError(t, metalsim.SetLimit("recommendedMaxWorkingSetSize", 100_000))
	_, err := newModel(tinyCheckpoint(t), on)
	require.ErrorContains(t, err, "the model needs ")
	require.ErrorContains(t, err, "metalsim has 0.1 MB: take a checkpoint with fewer bits or a machine with more memory")
}

func TestModelLeavesMemoryOnASharedDevice(t *testing.T) {
	on := onMetal(t).sharing(t)
	held := func() int {
		leaks, err := metalsim.Leaks()
		require.NoError(t, err)
		n := 0
		for _, l := range leaks {
			if l.Class == "MTLBuffer" {
				n += l.Count
			}
		}
		return n
	}
	before := held()
	for _, dir := range []string{"testdata/glm4-a", "testdata/mlx-4bit-g64"} {
		c, err := loader.Open(t.Context(), dir)
		require.NoError(t, err)
		m, err := newModel(c, on)
		require.NoError(t, err)
		require.Greater(t, held(), before)
		require.NoError(t, m.Close())
		require.Equal(t, before, held(), dir)
		c, err = loader.Open(t.Context(), dir)
		require.NoError(t, err)
		refuse := on.with(func(o *loadOptions) {
			o.placed = func(done, total int64) error {
				if done == total {
					return context.Canceled
				}
				return nil
			}
		})
		_, err = newModel(c, refuse)
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, before, held(), "%s, ended", dir)
		require.NoError(t, c.Close())
	}
}

// Each allocation of a load and of a first answer is refused once.
func TestRefusedAllocationEndsTheProcess(t *testing.T) {
	on := onMetal(t)
	c := tinyCheckpoint(t)
	refused := 0
	for n := uint64(1); ; n++ {
		require.NoError(t, metalsim.SetLimit("failAllocation", n))
		m, err := newModel(c, on)
		if err != nil {
			require.ErrorContains(t, err, "out of GPU memory")
			require.ErrorContains(t, err, "take a smaller context, close")
			refused++
			continue
		}
		s := m.NewSession()
		var failed error
		for _, failed = range s.GenerateTokens(context.Background(), randomIDs(300), Options{MaxTokens: 3, IgnoreEOS: true}) {
		}
		require.NoError(t, metalsim.SetLimit("failAllocation", 0))
		want := collect(t, m.NewSession(), randomIDs(300), Options{MaxTokens: 3, IgnoreEOS: true})
		require.Equal(t, want, collect(t, s, randomIDs(300), Options{MaxTokens: 3, IgnoreEOS: true}),
			"the next request works")
		require.NoError(t, m.device.Close())
		if failed == nil {
			break
		}
		require.ErrorContains(t, failed, "out of GPU memory")
		refused++
	}
	require.Greater(t, refused, 10)
}

func TestFailedCommandBufferPassesForSuccess(t *testing.T) {
	m := tiny(t, onMetal(t))
	s := m.NewSession()
	defer s.Close()
	o := Options{MaxTokens: 8, IgnoreEOS: true}
	want := collect(t, s, randomIDs(30), o)
	require.NoError(t, metalsim.SetLimit("deviceLost", 1))
	for _, err := range s.GenerateTokens(context.Background(), randomIDs(20), o) {
		require.ErrorContains(t, err, "the device was lost")
		require.ErrorContains(t, err, "load the model again, or use the CPU")
	}
	require.Equal(t, FinishError, s.Result().FinishReason)
	require.NoError(t, metalsim.SetLimit("deviceLost", 0))
	require.Equal(t, want, collect(t, s, randomIDs(30), o), "the next request works")

	// While the answer runs.
	n := 0
	var last error
	for _, err := range s.GenerateTokens(context.Background(), randomIDs(30), Options{MaxTokens: 20, IgnoreEOS: true}) {
		if n++; n == 3 {
			require.NoError(t, metalsim.SetLimit("deviceLost", 1))
		}
		last = err
	}
	require.ErrorContains(t, last, "the device was lost")
	require.NoError(t, metalsim.SetLimit("deviceLost", 0))
	require.Equal(t, want, collect(t, s, randomIDs(30), o))
}

func TestSessionLeavesBuffersBehind(t *testing.T) {
	m := tiny(t, onMetal(t))
	live := func() (buffers int) {
		leaks, err := metalsim.Leaks()
		require.NoError(t, err)
		for _, l := range leaks {
			if l.Class == "MTLBuffer" {
				buffers += l.Count
			}
		}
		return buffers
	}
	before := live()
	for range 3 {
		s := m.NewSession()
		collect(t, s, randomIDs(600), Options{MaxTokens: 4, IgnoreEOS: true})
		require.Greater(t, live(), before)
		require.NoError(t, s.Close())
		require.Equal(t, before, live())
	}
}
