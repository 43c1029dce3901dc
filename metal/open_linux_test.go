package metal_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/metalsim"
	"github.com/glm4-metal/glm4-metal/metal"
)

// openMetal is where the tests and the example get Metal: on Linux from the stand-in.
func openMetal() (*metal.Metal, error) {
	path, err := metalsim.Library()
	if err != nil {
		return nil, err
	}
	return metal.OpenLibraries(path)
}

// open returns Metal for a test, at whose end nothing may have been misused and every object must be gone.
func open(t testing.TB) *metal.Metal {
	m, err := openMetal()
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

// liveObjects counts the Objective-C objects that the program made and that live.
func liveObjects(t testing.TB) int {
	leaks, err := metalsim.Leaks()
	require.NoError(t, err)
	n := 0
	for _, leak := range leaks {
		n += leak.Count
	}
	return n
}

// needGPU is for a Mac whose GPU runs no kernels; the stand-in runs them.
func needGPU(testing.TB, metal.Device) {}
