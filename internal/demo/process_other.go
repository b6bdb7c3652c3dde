//go:build unix && !linux

package demo

import "syscall"

// dieWithParent does nothing: only Linux has a parent-death signal that Go can
// ask for. Elsewhere a worker outlives a demo that is killed with SIGKILL.
func dieWithParent(*syscall.SysProcAttr) {}
