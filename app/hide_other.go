//go:build !linux

package app

// hideProcess does nothing: only Linux shows a process's environment as a file.
func hideProcess() error { return nil }
