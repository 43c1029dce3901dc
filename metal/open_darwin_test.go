package metal_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/metal"
)

// openMetal is where the tests and the example get Metal: on a Mac from the system.
func openMetal() (*metal.Metal, error) { return metal.Open() }

func open(t testing.TB) *metal.Metal {
	m, err := openMetal()
	require.NoError(t, err)
	return m
}

// liveObjects is for the stand-in, which can count them.
func liveObjects(testing.TB) int { return 0 }

// needGPU skips a test that runs kernels where only the compiler is sure to work, as in package gpu.
func needGPU(t testing.TB, d metal.Device) {
	if !d.HasUnifiedMemory() || !d.SupportsFamily(metal.FamilyApple7) {
		t.Skip("needs a full GPU: ", d.Name())
	}
}
