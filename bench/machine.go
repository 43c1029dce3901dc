package bench

import (
	"context"

	"github.com/glm4-metal/glm4-metal/internal/backend/gpu"
	"github.com/glm4-metal/glm4-metal/internal/machine"
)

// ReadMachine tells what this machine is, within two seconds. What the system does not tell stays empty.
func ReadMachine(ctx context.Context) Machine { return Machine(machine.Describe(ctx, gpuName())) }

// gpuName is what Metal calls its default device, "" without one.
func gpuName() string {
	m, err := gpu.System()
	if err != nil {
		return ""
	}
	d, err := m.DefaultDevice()
	if err != nil {
		return ""
	}
	defer d.Release()
	return d.Name()
}
