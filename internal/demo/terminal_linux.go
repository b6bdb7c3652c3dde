package demo

import (
	"os"

	"golang.org/x/sys/unix"
)

// immediate makes a terminal hand out keys as they are pressed, without Enter,
// and show none, until the function it returns is called. Ctrl-C stays what it
// is. It does nothing to what is no terminal, or is another job's.
func immediate(in *os.File) (restore func()) {
	fd := int(in.Fd())
	was, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return func() {}
	}
	if group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP); err != nil || group != unix.Getpgrp() {
		return func() {}
	}
	now := *was
	now.Lflag &^= unix.ICANON | unix.ECHO
	now.Cc[unix.VMIN], now.Cc[unix.VTIME] = 1, 0
	if unix.IoctlSetTermios(fd, unix.TCSETS, &now) != nil {
		return func() {}
	}
	return func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, was) }
}
