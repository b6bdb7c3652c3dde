package handlers_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// adoptOrphans makes the tests' process what a worker is as a container's
// first process: the parent of every process whose own parent is gone. So a
// process that a handler leaves behind, dead or alive, is seen by childrenLeft.
func adoptOrphans() {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		panic(fmt.Sprintf("become a subreaper: %v", err))
	}
}

// childrenLeft describes the child processes that are still there, dead or alive.
func childrenLeft() string {
	var left []string
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		data, _ := os.ReadFile(file) // "pid (name) state ppid pgrp …"; empty if it has just gone
		_, rest, _ := strings.Cut(string(data), ") ")
		if fields := strings.Fields(rest); len(fields) > 1 && fields[1] == fmt.Sprint(os.Getpid()) {
			left = append(left, string(data))
		}
	}
	return strings.Join(left, "; ")
}
