package cpu

import "golang.org/x/sys/unix"

// adviseSoon starts to read what is not in memory yet. The advice may be refused; nothing depends on it.
func adviseSoon(b []byte) {
	if len(b) > 0 {
		unix.Madvise(b, unix.MADV_WILLNEED)
	}
}

// bringIn waits for the pages and maps them, as a touch of each would (Linux 5.14; before, nothing happens).
func bringIn(b []byte) { unix.Madvise(b, unix.MADV_POPULATE_READ) }
