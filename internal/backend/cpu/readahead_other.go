//go:build !linux

package cpu

import "golang.org/x/sys/unix"

// adviseSoon starts to read what is not in memory yet. The advice may be refused; nothing depends on it.
func adviseSoon(b []byte) {
	if len(b) > 0 {
		unix.Madvise(b, unix.MADV_WILLNEED)
	}
}

func bringIn([]byte) {}
