//go:build !unix

package cpu

import "testing"

// guarded gives n bytes; without a guard page where the system has no Mprotect.
func guarded(t *testing.T, n int, front bool) []byte { return make([]byte, n) }
