package main

import (
	"bytes"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// openPTY opens a pseudoterminal: its master's end, and the name of its terminal.
// Source: grantpt(3), unlockpt(3) and ptsname(3) in Apple's Libc, which are these calls.
func openPTY() (master *os.File, name string, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, "", err
	}
	path := make([]byte, 128)
	err = unix.IoctlSetInt(fd, unix.TIOCPTYGRANT, 0)
	if err == nil {
		err = unix.IoctlSetInt(fd, unix.TIOCPTYUNLK, 0)
	}
	if err == nil {
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCPTYGNAME,
			uintptr(unsafe.Pointer(&path[0]))); errno != 0 {
			err = errno
		}
	}
	path, _, _ = bytes.Cut(path, []byte{0})
	return os.NewFile(uintptr(fd), "/dev/ptmx"), string(path), err
}
