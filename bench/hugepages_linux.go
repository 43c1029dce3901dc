package bench

import "golang.org/x/sys/unix"

// adviseHugePages may be refused; nothing depends on it but speed.
func adviseHugePages(b []byte) { unix.Madvise(b, unix.MADV_HUGEPAGE) }
