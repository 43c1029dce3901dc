package hub

import (
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// networked tells whether a file is on a file system whose locks are not to be trusted.
func networked(f *os.File) bool {
	const (
		lustre = 0x0bd00bd0
		gpfs   = 0x47504653
		ceph   = 0x00c36400
	)
	var s unix.Statfs_t
	if unix.Fstatfs(int(f.Fd()), &s) != nil {
		return true
	}
	return slices.Contains([]uint32{
		unix.NFS_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.FUSE_SUPER_MAGIC,
		unix.V9FS_MAGIC, unix.AFS_SUPER_MAGIC, unix.CODA_SUPER_MAGIC, lustre, gpfs, ceph,
	}, uint32(s.Type))
}
