package model

import (
	"testing"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/gpu"
)

// onDevices runs a test on the CPU and on Metal, which is the stand-in where there is no Mac.
func onDevices(t *testing.T, test func(t *testing.T, on loadOptions)) {
	t.Run("cpu", func(t *testing.T) { test(t, loadOptions{}) })
	t.Run("metal", func(t *testing.T) { test(t, onMetal(t)) })
}

func onMetal(t *testing.T) loadOptions {
	m := openMetal(t)
	return loadOptions{open: func() (backend.Device, error) { return gpu.Open(m) }}
}

// with is the options changed.
func (o loadOptions) with(change func(*loadOptions)) loadOptions {
	change(&o)
	return o
}
