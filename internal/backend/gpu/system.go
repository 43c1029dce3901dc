//go:build !metalsim

package gpu

import (
	"runtime"

	"github.com/glm4-metal/glm4-metal/metal"
)

// Preferred tells whether a program that was not told otherwise should compute on the GPU.
const Preferred = runtime.GOOS == "darwin"

// System opens the system's Metal.
func System() (*metal.Metal, error) { return metal.Open() }
