//go:build !metalsim

package main

import "github.com/glm4-metal/glm4-metal/metal"

// openMetal opens the system's Metal.
func openMetal() (*metal.Metal, error) { return metal.Open() }
