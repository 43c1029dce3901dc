package hub

import (
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// enterChild gives the child the small disk that the test asks for.
func enterChild() error {
	if os.Getenv("HUB_TEST_DISK_LIES") != "" {
		free = func(string) (uint64, error) { return 1 << 60, nil }
	}
	if size := os.Getenv("HUB_TEST_DISK"); size != "" {
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return err
		}
		return unix.Mount("tmpfs", os.Getenv("HF_HOME"), "tmpfs", 0, "size="+size)
	}
	return nil
}

// ownMounts makes the child's mounts its own, as root's or as those of a user who is root among its own.
func ownMounts(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
}
