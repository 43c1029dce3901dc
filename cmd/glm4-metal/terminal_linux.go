package main

import "golang.org/x/sys/unix"

// The requests with which a terminal's modes are read and set. Source: ioctl_tty(2).
const (
	getTermios = unix.TCGETS
	setTermios = unix.TCSETS
)
