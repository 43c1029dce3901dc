//go:build !amd64 && !arm64

package simd

import "runtime"

// Paths lists the SIMD paths of this machine: none yet.
func Paths() []*Kernels { return nil }

// Pause lets another goroutine run.
func Pause(int) { runtime.Gosched() }
