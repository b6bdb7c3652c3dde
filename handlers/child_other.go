//go:build unix && !linux

package handlers

import "syscall"

// processAttributes put a program in a process group of its own. Only Linux
// can let it die with the worker.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// awaitExit waits until the process has exited. Without a waitid that can be
// relied on it reaps the process too, so that for a moment the group's id is
// held only by what the program left behind.
func (c *child) awaitExit() { c.state, _ = c.cmd.Process.Wait() }
