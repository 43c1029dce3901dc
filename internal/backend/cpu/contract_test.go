package cpu

import (
	"testing"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/backendtest"
	"github.com/glm4-metal/glm4-metal/internal/backend/cpu/simd"
)

func TestContract(t *testing.T) {
	for _, k := range append(simd.Paths(), nil) {
		target := backendtest.Target{Step: 1, Faults: true, Open: func(*testing.T) backend.Device { return openPath(k) }}
		name := "plain"
		if k != nil {
			name, target.Loss = k.Name, loss
		}
		t.Run(name, func(t *testing.T) { backendtest.Contract(t, target) })
	}
}
