package pgserver

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// deadServer makes what a server leaves whose process was killed.
func deadServer(t *testing.T, parent, postmaster string) string {
	t.Helper()
	// A process that is begun meanwhile would have the lock for a moment too.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	dir, lock, err := makeDir(parent)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "data", "postmaster.pid"), []byte(postmaster+"\n/data\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func TestDirectoryOfADeadProcessIsSwept(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	dead := deadServer(t, parent, "not a process")
	sweep(parent)
	if exists(dead) {
		t.Error("the directory of a dead process was kept")
	}
}

func TestDirectoryInUseIsKept(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	dir, lock, err := makeDir(parent)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	sweep(parent)
	if !exists(dir) {
		t.Error("the directory of a living process was removed")
	}
}

func TestDirectoryOfARunningServerIsKept(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	running := deadServer(t, parent, strconv.Itoa(os.Getpid()))
	sweep(parent)
	if !exists(running) {
		t.Error("the directory of a running server was removed")
	}
}

func TestDirectoryOfAnotherProgramIsKept(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	other := filepath.Join(parent, dirPrefix+"but-not-ours")
	if err := os.Mkdir(other, 0o700); err != nil {
		t.Fatal(err)
	}
	sweep(parent)
	if !exists(other) {
		t.Error("a directory without our lock file was removed")
	}
}
