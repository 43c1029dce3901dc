package model

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/metal"
)

func openMetal(t *testing.T) *metal.Metal {
	m, err := metal.Open()
	require.NoError(t, err)
	return m
}
