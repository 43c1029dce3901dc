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

// memory is the machine's memory in bytes, 0 when unknown. macOS has no cgroups.
func memory() (bytes int64, limit string) {
	n, err := unix.SysctlUint64("hw.memsize")
	if err != nil {
		return 0, ""
	}
	return int64(n), ""
}

// processRoom is unknown: macOS does not enforce the limits of ulimit -v and -d.
func processRoom() (bytes int64, limit string) { return 0, "" }
