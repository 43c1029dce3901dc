package gpu

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/metalsim"
	"github.com/glm4-metal/glm4-metal/metal"
)

// openMetal gives the stand-in, with instrumentation if the test is to be checked to the byte and counted. At the end
// of the test nothing may have been misused and every object must be gone.
func openMetal(t testing.TB, counted bool) *metal.Metal {
	path, err := metalsim.Library()
	require.NoError(t, err)
	m, err := metal.OpenLibraries(path)
	require.NoError(t, err)
	require.NoError(t, metalsim.Reset())
	require.NoError(t, metalsim.SetCounting(counted))
	t.Cleanup(func() {
		require.NoError(t, metalsim.TakeError())
		leaks, err := metalsim.Leaks()
		require.NoError(t, err)
		require.Empty(t, leaks)
		require.NoError(t, metalsim.Reset())
	})
	return m
}

// openCompiler is openMetal for a test that runs nothing on the GPU.
func openCompiler(t testing.TB) *metal.Metal { return openMetal(t, false) }

// inOrders runs f once with the threads of every dispatch in ascending order and once in descending order.
func inOrders(t testing.TB, f func()) {
	for _, order := range []metalsim.Order{metalsim.Ascending, metalsim.Descending} {
		require.NoError(t, metalsim.SetOrder(order, 0))
		f()
	}
}
