package cpu

import "golang.org/x/sys/unix"

// adviseHugePages lets the system keep memory, or a mapped file, in huge pages. The advice may be refused; only speed
// depends on it.
func adviseHugePages(b []byte) { unix.Madvise(b, unix.MADV_HUGEPAGE) }

// bringIn waits for the pages and maps them, as a touch of each would (Linux 5.14; before, nothing happens).
func bringIn(b []byte) { unix.Madvise(b, unix.MADV_POPULATE_READ) }
