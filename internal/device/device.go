// Package device knows which device the name of a backend stands for on this machine.
package device

import (
	"fmt"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/cpu"
	"github.com/glm4-metal/glm4-metal/internal/backend/gpu"
	"github.com/glm4-metal/glm4-metal/internal/tuning"
	"github.com/glm4-metal/glm4-metal/shaders"
)

// Open opens the device that "auto", which is also "", "metal" or "cpu" stands for, and says why it is that one. The
// caller closes it.
func Open(name string) (d backend.Device, why string, err error) {
	switch name {
	case "cpu":
		return cpu.Open(), "asked for", nil
	case "metal":
		d, err := openGPU()
		return d, "asked for", err
	case "", "auto":
		if !gpu.Preferred {
			return cpu.Open(), "no Metal on this system", nil
		}
		d, err := openGPU()
		if err != nil {
			return cpu.Open(), fmt.Sprintf("Metal cannot be used: %v", err), nil
		}
		return d, "the GPU is the fastest here", nil
	}
	return nil, "", fmt.Errorf("unknown backend %q; the backends are auto, metal and cpu", name)
}

// openGPU opens the GPU with the tiles that were measured on it, where they were.
func openGPU() (backend.Device, error) {
	m, err := gpu.System()
	if err != nil {
		return nil, err
	}
	d, err := gpu.Open(m)
	if err != nil {
		return nil, err
	}
	if folder, err := tuning.Folder(); err == nil {
		tune(d, folder)
	}
	return d, nil
}

// tunable is a device with a choice of tiles.
type tunable interface {
	Info() backend.Info
	Tune(shaders.Tuning)
}

// tune has a device take the tiles that a folder has for it; doctor tells why it takes none.
func tune(d tunable, folder string) {
	t, _ := tuning.Load(folder, tuning.KeyOf(d.Info().Device))
	d.Tune(t)
}
