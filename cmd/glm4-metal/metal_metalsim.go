//go:build metalsim

package main

import (
	"github.com/glm4-metal/glm4-metal/internal/metalsim"
	"github.com/glm4-metal/glm4-metal/metal"
)

// openMetal builds the stand-in, where it is not in the user's cache yet, and opens it.
func openMetal() (*metal.Metal, error) {
	path, err := metalsim.Library()
	if err != nil {
		return nil, err
	}
	return metal.OpenLibraries(path)
}
