package gpu

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/metal"
)

// openMetal gives the system's Metal, which has no instrumentation.
func openMetal(t testing.TB, counted bool) *metal.Metal {
	m, err := metal.Open()
	require.NoError(t, err)
	return m
}

// inOrders runs f; the order of the threads is the GPU's own.
func inOrders(_ testing.TB, f func()) { f() }
