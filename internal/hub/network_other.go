//go:build !linux

package hub

import (
	"os"

	"golang.org/x/sys/unix"
)

// networked tells whether a file is on a file system whose locks are not to be trusted.
func networked(f *os.File) bool {
	var s unix.Statfs_t
	return unix.Fstatfs(int(f.Fd()), &s) != nil || s.Flags&unix.MNT_LOCAL == 0
}
