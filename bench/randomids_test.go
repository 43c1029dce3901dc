package bench

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/model"
)

func TestControlTokensAreDrawn(t *testing.T) {
	m, err := model.Load(t.Context(), "")
	require.NoError(t, err)
	defer m.Close()
	r, err := newRandomIDs(m, 1)
	require.NoError(t, err)
	drawn := map[int32]bool{}
	for _, id := range r.next(100 * m.Text().VocabSize()) {
		drawn[id] = true
	}
	for id := range int32(m.Text().VocabSize()) {
		_, ok := m.Text().Token(id)
		require.Equal(t, ok && !m.Text().IsSpecial(id), drawn[id], "%d", id)
	}
	for _, id := range m.Info().Config.EOS {
		require.False(t, drawn[id], "%d", id)
	}
}
