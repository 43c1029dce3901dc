package bench

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// PeakMemory is the most resident memory that the process has had, in bytes; 0 when unknown.
func PeakMemory() int64 {
	var usage unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	if runtime.GOOS == "darwin" { // bytes there, KiB elsewhere
		return int64(usage.Maxrss)
	}
	return int64(usage.Maxrss) << 10
}
