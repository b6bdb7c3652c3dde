package pgserver

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// The names of a server's directory and of the file in it that its owner
// holds locked. The kernel lets go of the lock when the owner dies, however
// it dies, so an unlocked one tells a directory that nobody will remove.
const (
	dirPrefix = "understudy-postgres-"
	lockName  = "owner.lock"
)

// makeDir makes a new directory in parent and locks it for this process.
func makeDir(parent string) (dir string, lock *os.File, err error) {
	if parent == "" {
		parent = os.TempDir()
	}
	sweep(parent)
	// Under another name first: sweep must not see it before it is locked.
	unlocked, err := os.MkdirTemp(parent, ".new-"+dirPrefix)
	if err != nil {
		return "", nil, fmt.Errorf("make a directory for the Postgres server: %w", err)
	}
	dir = filepath.Join(parent, strings.TrimPrefix(filepath.Base(unlocked), ".new-"))
	lock, err = lockFile(filepath.Join(unlocked, lockName), os.O_CREATE)
	if err == nil {
		err = os.Rename(unlocked, dir)
	}
	if err != nil {
		_ = os.RemoveAll(unlocked)
		return "", nil, fmt.Errorf("make a directory for the Postgres server: %w", err)
	}
	return dir, lock, nil
}

// lockFile opens a file and locks it for this process, or fails at once.
func lockFile(path string, flags int) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|flags, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return file, nil
}

// sweep removes the directories of servers whose process was killed before
// it could stop them. What it cannot remove, another user's for one, it leaves.
func sweep(parent string) {
	dirs, _ := filepath.Glob(filepath.Join(parent, dirPrefix+"*"))
	for _, dir := range dirs {
		lock, err := lockFile(filepath.Join(dir, lockName), 0)
		if err != nil {
			continue
		}
		if !serverRuns(dir) {
			_ = os.RemoveAll(dir)
		}
		_ = lock.Close()
	}
}

// serverRuns says whether the postmaster that a directory names may still run:
// on its way out, or on a system without a parent-death signal.
func serverRuns(dir string) bool {
	file, err := os.ReadFile(filepath.Join(dir, "data", "postmaster.pid"))
	if err != nil {
		return false
	}
	first, _, _ := strings.Cut(string(file), "\n")
	pid, err := strconv.Atoi(first)
	return err == nil && syscall.Kill(pid, 0) != syscall.ESRCH
}
