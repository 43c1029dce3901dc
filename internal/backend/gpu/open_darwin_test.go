package gpu

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/metal"
)

// openMetal gives the system's Metal, which has no instrumentation, where the GPU can run the kernels.
func openMetal(t testing.TB, counted bool) *metal.Metal {
	m := openCompiler(t)
	device, err := m.DefaultDevice()
	require.NoError(t, err)
	defer device.Release()
	if err := CheckFamily(device); err != nil {
		t.Skip("needs a full GPU: ", err)
	}
	return m
}

// openCompiler is openMetal for a test that runs nothing on the GPU.
func openCompiler(t testing.TB) *metal.Metal {
	m, err := metal.Open()
	require.NoError(t, err)
	return m
}

// inOrders runs f; the order of the threads is the GPU's own.
func inOrders(_ testing.TB, f func()) { f() }
