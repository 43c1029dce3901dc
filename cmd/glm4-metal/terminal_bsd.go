//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package main

import "golang.org/x/sys/unix"

// The requests with which a terminal's modes are read and set. Source: tty(4).
const (
	getTermios = unix.TIOCGETA
	setTermios = unix.TIOCSETA
)
