//go:build !unix

package backendtest

import "testing"

// Guarded gives n bytes; without a guard page where the system has no Mprotect.
func Guarded(t testing.TB, n int, front bool) []byte { return make([]byte, n) }
