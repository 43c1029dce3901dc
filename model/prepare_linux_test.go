package model

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/metalsim"
)

// pipelines counts those that live.
func pipelines(t *testing.T) (n int) {
	leaks, err := metalsim.Leaks()
	require.NoError(t, err)
	for _, l := range leaks {
		if l.Class == "MTLComputePipelineState" {
			n += l.Count
		}
	}
	return n
}

func TestFirstTokenWaitsForPipelines(t *testing.T) {
	on := onMetal(t)
	m := demoModel(t, func(o *loadOptions) { *o = on })
	loaded := pipelines(t)
	require.Greater(t, loaded, 15)
	s := m.NewSession()
	defer s.Close()
	for _, prompt := range []int{1, 3, 12, 40, 300} { // the last one's answer attends to split keys
		for _, top := range []int{0, 5} { // the device picks, or the sampler
			collect(t, s, randomIDs(prompt), Options{MaxTokens: 2, IgnoreEOS: true, Temperature: 1, TopK: top})
			require.Equal(t, loaded, pipelines(t), "a prompt of %d tokens", prompt)
		}
	}
}

// openMetal looks at what is left.
func TestPreparationOutlivesItsModel(t *testing.T) {
	m := tiny(t, onMetal(t))
	loaded := pipelines(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m.prepare(ctx)()
	require.Equal(t, loaded, pipelines(t), "nothing is made for a load that has ended")
	m.prepare(t.Context()) // and the model is closed
}
