package device

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend/gpu"
)

func TestNameStandsForAnotherDevice(t *testing.T) {
	for _, name := range []string{"", "auto", "cpu"} {
		d, why, err := Open(name)
		require.NoError(t, err)
		if name == "cpu" || !gpu.Preferred {
			require.Equal(t, "cpu", d.Info().Backend, "%q", name)
		}
		require.NotEmpty(t, why)
		require.NoError(t, d.Close())
	}
	_, _, err := Open("cuda")
	require.EqualError(t, err, `unknown backend "cuda"; the backends are auto, metal and cpu`)
}
