//go:build !linux && !darwin

package cpu

import "runtime"

// cpuName is the processor's name as the system gives it.
func cpuName() string { return runtime.GOARCH }

// memory and processRoom are unknown.
func memory() (bytes int64, limit string)      { return 0, "" }
func processRoom() (bytes int64, limit string) { return 0, "" }
