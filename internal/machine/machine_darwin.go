package machine

import (
	"io/fs"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

func processor(fs.FS) string {
	if name, err := unix.Sysctl("machdep.cpu.brand_string"); err == nil {
		return name
	}
	return runtime.GOARCH
}

func cores(fs.FS) int { return runtime.NumCPU() }

// memory has no limit: macOS has no cgroups.
func memory(fs.FS) (bytes int64, limit string) {
	n, err := unix.SysctlUint64("hw.memsize")
	if err != nil {
		return 0, ""
	}
	return int64(n), ""
}

// room is unknown: macOS does not enforce the limits of ulimit -v and -d.
func room(fs.FS) (bytes int64, limit string) { return 0, "" }

func held(fs.FS) time.Duration { return 0 }
