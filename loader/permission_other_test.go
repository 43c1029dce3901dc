//go:build !linux

package loader

import "testing"

// dropRoot does nothing where tests are not run as root.
func dropRoot(*testing.T) {}
