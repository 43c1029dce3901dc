// Package hub knows checkpoints by name.
package hub

import "github.com/glm4-metal/glm4-metal/loader"

// Known is a published checkpoint.
type Known struct {
	Name       string // short: "glm4:9b-4bit"
	Repository string // on the hub: "mlx-community/GLM-4-9B-0414-4bit"
	Config     loader.Config
}

// Catalog lists the checkpoints that have short names.
func Catalog() []Known { panic("not written") }

// Find gives the checkpoint of a short name.
func Find(name string) (Known, bool) { panic("not written") }
