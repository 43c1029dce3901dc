package model

import (
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend"
)

// turnStep is a step that a device has been given.
type turnStep struct{ stream, tokens int }

// turnDevice records steps. Before each of them it waits until nobody else gets on, so that all who want the next turn
// have asked for it.
type turnDevice struct {
	backend.Device
	mu      sync.Mutex
	streams int
	steps   []turnStep
}

func (d *turnDevice) NewStream() (backend.Stream, error) {
	s, err := d.Device.NewStream()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.streams++
	return &turnStream{s, d, turnStep{stream: d.streams}}, err
}

type turnStream struct {
	backend.Stream
	device *turnDevice
	now    turnStep
}

func (s *turnStream) QKV(q backend.Buffer, kv backend.Cache, layer int, xn backend.Buffer, w *backend.QKV,
	at backend.Span) {
	s.now.tokens = at.N
	s.Stream.QKV(q, kv, layer, xn, w, at)
}

func (s *turnStream) Submit() error {
	synctest.Wait()
	s.device.steps = append(s.device.steps, s.now)
	return s.Stream.Submit()
}

// takeTurns generates side by side, in sessions on streams 1, 2, ..., and gives the steps in their order.
func takeTurns(t *testing.T, on loadOptions, prompts, answers []int) (steps []turnStep) {
	synctest.Test(t, func(t *testing.T) {
		m := tiny(t, on)
		d := &turnDevice{Device: m.device}
		m.device = d
		defer func() { m.device = d.Device }()
		var wg sync.WaitGroup
		for i, n := range prompts {
			s := m.NewSession()
			assert.NoError(t, s.begin()) // makes the stream
			s.mu.Unlock()
			wg.Go(func() {
				defer s.Close()
				for _, err := range s.GenerateTokens(t.Context(), randomIDs(n), Options{MaxTokens: answers[i], IgnoreEOS: true}) {
					assert.NoError(t, err)
				}
			})
		}
		wg.Wait()
		steps = d.steps
	})
	return steps
}

func TestSessionsGetTurnsUnevenly(t *testing.T) {
	onDevices(t, func(t *testing.T, on loadOptions) {
		steps := takeTurns(t, on, []int{3, 3, 3, 3, 3}, []int{12, 12, 12, 12, 12})
		require.Len(t, steps, 5*12)
		for i := 10; i < 50; i++ { // all have begun, and none has ended
			require.Equal(t, steps[i-5].stream, steps[i].stream, "step %d of %v", i, steps)
		}
	})
}

func TestSessionsWaitForAWholePrompt(t *testing.T) {
	onDevices(t, func(t *testing.T, on loadOptions) {
		steps := takeTurns(t, on.with(func(o *loadOptions) { o.chunk = 16 }), []int{3, 3, 160}, []int{40, 40, 1})
		var chunks int
		for i, s := range steps {
			if s.tokens != 16 {
				continue
			}
			if chunks++; chunks > 2 { // all have begun
				between := []int{steps[i-2].stream, steps[i-1].stream}
				require.ElementsMatch(t, []int{1, 2}, between, "before step %d of %v", i, steps)
			}
		}
		require.Equal(t, 10, chunks)
	})
}
