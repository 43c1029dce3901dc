//go:build !linux

package cpu

import "golang.org/x/sys/unix"

func adviseHugePages([]byte) {}

// bringIn announces that the pages will be read soon.
func bringIn(b []byte) { unix.Madvise(b, unix.MADV_WILLNEED) }
