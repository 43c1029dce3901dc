package gpu

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/backendtest"
	"github.com/glm4-metal/glm4-metal/internal/metalsim"
	"github.com/glm4-metal/glm4-metal/metal"
)

// hang makes the queue wait for an event to be 1.
func hang(t *testing.T, d *Device) metal.SharedEvent {
	require.NoError(t, metalsim.SetLimit("eventGrace", uint64(time.Hour/time.Millisecond)))
	event, err := d.device.NewSharedEvent()
	require.NoError(t, err)
	t.Cleanup(func() {
		event.Signal(1) // after a failure, too
		event.Release()
	})
	require.NoError(t, d.metal.Do(func() error {
		commands, err := d.queue.NewCommandBuffer()
		require.NoError(t, err)
		defer commands.Release()
		commands.EncodeWait(event, 1)
		commands.Commit()
		return nil
	}))
	return event
}

func TestProgramEndsWhileTheGPUWorks(t *testing.T) {
	p := newPair(t, false)
	d, s := p.gpu.d, p.streams[1]
	w, x, y := p.matrix(8, 8, backendtest.Plain(backend.F32))[1], p.buffer(p.floats(8, 1))[1], p.empty(8)[1]
	kv := p.cache(1, backend.Attention{Heads: 1, KVHeads: 1, HeadDim: 8}, backend.F32, 1)[1]
	s.Out(y, x, w, 1)
	event := hang(t, d)
	require.NoError(t, s.Submit())
	require.False(t, End(time.Millisecond), "a GPU that hangs must not hold the program")

	// What others do meanwhile comes to nothing, and nobody unmaps what the GPU still reads.
	s.Out(x, y, w, 1)
	require.ErrorIs(t, s.Submit(), errEnding)
	require.ErrorIs(t, kv.Grow(1000), errEnding)
	drained := make(chan struct{})
	go func() { d.drain(); close(drained) }()
	select {
	case <-drained:
		require.Fail(t, "the queue is not empty")
	case <-time.After(50 * time.Millisecond):
	}
	event.Signal(1)
	require.True(t, End(time.Minute))
	in(t, drained, "the queue is empty")
	require.NotEqual(t, float32(-12345.678), y.Floats()[0], "what was committed has run")
	ran, err := metalsim.Counters()
	require.NoError(t, err)
	require.ErrorIs(t, s.Wait(0), errEnding)
	s.Out(x, y, w, 1)
	require.ErrorIs(t, s.Submit(), errEnding)
	require.ErrorIs(t, s.Wait(0), errEnding)
	again, err := metalsim.Counters()
	require.NoError(t, err)
	require.Equal(t, len(ran), len(again))
}

// A device that is closed has nothing to be waited for, whenever that was.
func TestEndWaitsForAClosedDevice(t *testing.T) {
	m := openMetal(t, false)
	d, err := Open(m)
	require.NoError(t, err)
	require.NoError(t, d.Close())
	require.Empty(t, living.devices)

	d, err = Open(m)
	require.NoError(t, err)
	ended := make(chan bool)
	go func() { ended <- End(time.Minute) }()
	require.NoError(t, d.Close())
	require.True(t, <-ended)
}
