//go:build !linux && !darwin

package cpu

import "runtime"

// cpuName is the processor's name as the system gives it.
func cpuName() string { return runtime.GOARCH }

// physicalMemory is the machine's memory in bytes, 0 when unknown.
func physicalMemory() int64 { return 0 }
