package bench

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend/gpu"
	"github.com/glm4-metal/glm4-metal/internal/metalsim"
	"github.com/glm4-metal/glm4-metal/metal"
)

// On the stand-in, whose limits mean nothing.
func TestGPUHasNoLimits(t *testing.T) {
	path, err := metalsim.Library()
	require.NoError(t, err)
	m, err := metal.OpenLibraries(path)
	require.NoError(t, err)
	d, err := gpu.Open(m)
	require.NoError(t, err)
	p, err := newProbe(d)
	require.NoError(t, err)
	requireLimits(t, p)
	require.NoError(t, p.Close())
	require.NoError(t, metalsim.TakeError())
}
