package model

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/metalsim"
	"github.com/glm4-metal/glm4-metal/metal"
)

// openMetal gives the stand-in. At the end of the test nothing may have been misused and every object must be gone.
func openMetal(t *testing.T) *metal.Metal {
	path, err := metalsim.Library()
	require.NoError(t, err)
	m, err := metal.OpenLibraries(path)
	require.NoError(t, err)
	require.NoError(t, metalsim.Reset())
	t.Cleanup(func() {
		require.NoError(t, metalsim.TakeError())
		leaks, err := metalsim.Leaks()
		require.NoError(t, err)
		require.Empty(t, leaks)
	})
	return m
}
