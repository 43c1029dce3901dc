//go:build !linux

package cpu

import "golang.org/x/sys/unix"

// adviseHugePages asks for what is Linux's alone; elsewhere the whole is announced, to be read soon.
func adviseHugePages(b []byte) { unix.Madvise(b, unix.MADV_WILLNEED) }

func bringIn([]byte) {}
