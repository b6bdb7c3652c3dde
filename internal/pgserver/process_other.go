//go:build unix && !linux

package pgserver

import "syscall"

// dieWithParent does nothing: this system has no parent-death signal that Go
// can ask for. A server outlives a parent that is killed with SIGKILL here.
func dieWithParent(*syscall.SysProcAttr) {}
