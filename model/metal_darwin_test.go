package model

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend/gpu"
	"github.com/glm4-metal/glm4-metal/metal"
)

// openMetal gives the system's Metal where the GPU can run the kernels.
func openMetal(t *testing.T) *metal.Metal {
	m, err := metal.Open()
	require.NoError(t, err)
	device, err := m.DefaultDevice()
	require.NoError(t, err)
	defer device.Release()
	if err := gpu.CheckFamily(device); err != nil {
		t.Skip("needs a full GPU: ", err)
	}
	return m
}
