//go:build metalsim

package server

// With the stand-in for Metal the tests run on it.
func init() { device = "metal" }
