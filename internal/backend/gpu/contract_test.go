package gpu

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/backendtest"
)

// With and without instrumentation, which checks every access and is slow.
func TestContract(t *testing.T) {
	target := func(counted bool) backendtest.Target {
		open := func(t *testing.T) backend.Device {
			d, err := Open(openMetal(t, counted))
			require.NoError(t, err)
			return d
		}
		return backendtest.Target{Open: open, Step: 8, InOrders: inOrders, Faults: runtime.GOOS == "linux"}
	}
	backendtest.Contract(t, target(false))
	t.Run("counted", func(t *testing.T) { backendtest.Sampling(t, target(true)) })
}
