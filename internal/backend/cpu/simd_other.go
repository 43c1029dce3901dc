//go:build !amd64 && !arm64

package cpu

import "runtime"

// paths lists the SIMD paths of this machine: none yet.
func paths() []*kernels { return nil }

// pause lets another goroutine run.
func pause(int) { runtime.Gosched() }
