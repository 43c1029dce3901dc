package cpu

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// cpuName is the processor's name as the system gives it.
func cpuName() string {
	if name, err := unix.Sysctl("machdep.cpu.brand_string"); err == nil {
		return name
	}
	return runtime.GOARCH
}

// physicalMemory is the machine's memory in bytes, 0 when unknown.
func physicalMemory() int64 {
	n, err := unix.SysctlUint64("hw.memsize")
	if err != nil {
		return 0
	}
	return int64(n)
}
