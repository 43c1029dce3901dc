//go:build metalsim

package gpu

import (
	"github.com/glm4-metal/glm4-metal/internal/metalsim"
	"github.com/glm4-metal/glm4-metal/metal"
)

// Preferred is false: the stand-in is there for whoever asks for it.
const Preferred = false

// System builds the stand-in, where it is not in the user's cache yet, and opens it.
func System() (*metal.Metal, error) {
	path, err := metalsim.Library()
	if err != nil {
		return nil, err
	}
	return metal.OpenLibraries(path)
}
