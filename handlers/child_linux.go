package handlers

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// processAttributes put a program in a process group of its own, and let it
// die with the worker, even by SIGKILL. That holds for the program, not for
// what it started.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// awaitExit waits until the process has exited, and leaves it to be reaped.
func (c *child) awaitExit() {
	for {
		err := unix.Waitid(unix.P_PID, c.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return
		}
	}
}
