package model

import (
	"context"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/cpu"
)

// sharing opens a device that the models with these options share, until the test ends.
func (o loadOptions) sharing(t *testing.T) loadOptions {
	d := backend.Device(cpu.Open())
	if o.open != nil {
		var err error
		d, err = o.open()
		require.NoError(t, err)
	}
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	o.shared = d
	return o
}

func TestModelsOnOneDeviceDisturbEachOther(t *testing.T) {
	onDevices(t, func(t *testing.T, on loadOptions) {
		// the last one's weights are copied on a GPU
		names := []string{"testdata/glm4-a", "testdata/glm-d", "testdata/mlx-4bit-g64"}
		o := Options{MaxTokens: 6, IgnoreEOS: true}
		var want [][]int32
		for _, name := range names {
			s := openTestdata(t, name, on).NewSession()
			want = append(want, collect(t, s, smallIDs(300), o))
			require.NoError(t, s.Close())
		}
		on = on.sharing(t)
		var models []*Model
		for _, name := range names {
			models = append(models, openTestdata(t, name, on))
		}
		use := func(m *Model, want []int32) {
			s := m.NewSession()
			defer s.Close()
			var got []int32
			for event, err := range s.GenerateTokens(context.Background(), smallIDs(300), o) {
				if assert.NoError(t, err) && event.Token != nil {
					got = append(got, event.Token.ID)
				}
			}
			assert.Equal(t, want, got)
		}
		var wg sync.WaitGroup
		for i, m := range models {
			wg.Go(func() { use(m, want[i]) })
		}
		wg.Wait()

		left := models[0].NewSession()
		require.Equal(t, want[0], collect(t, left, smallIDs(300), o))
		wg.Go(func() { use(models[1], want[1]) })
		require.NoError(t, models[0].Close())
		require.NoError(t, models[2].Close())
		wg.Wait()
		for _, err := range left.GenerateTokens(context.Background(), smallIDs(5), o) {
			require.ErrorIs(t, err, ErrClosed)
		}
		require.NoError(t, left.Close())
		use(models[1], want[1])
		use(openTestdata(t, names[2], on), want[2])
	})
}

func TestFaultOfAModelIsMissedBesideAnother(t *testing.T) {
	onDevices(t, func(t *testing.T, on loadOptions) {
		on = on.sharing(t)
		dir, weights := copied(t, "testdata/glm4-c")
		m, other := openTestdata(t, dir, on), openTestdata(t, "testdata/glm-d", on)
		s, beside := m.NewSession(), other.NewSession()
		defer s.Close()
		defer beside.Close()
		want := collect(t, beside, smallIDs(20), Options{MaxTokens: 3, IgnoreEOS: true})
		collect(t, s, smallIDs(20), Options{MaxTokens: 3, IgnoreEOS: true})
		s.Truncate(0)
		require.NoError(t, os.Truncate(weights, 0))
		requireFault(t, m.explain(s.step(t.Context(), smallIDs(30), s.logits, 1, nil, nil)), weights)
		beside.Truncate(0)
		require.Equal(t, want, collect(t, beside, smallIDs(20), Options{MaxTokens: 3, IgnoreEOS: true}))
	})
}
