package integration_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// programs are the programs under test, for all tests of this process.
var programs built

// built builds this repository's programs, each once.
type built struct {
	mu    sync.Mutex
	dir   string
	paths map[string]string // by package
}

// shipped is the program as it is shipped.
func shipped(t testing.TB) string { return programs.path(t, "../cmd/understudy") }

// ledgerWorker is the same with handlers that note what they do, and with the
// race detector if these tests have it.
func ledgerWorker(t testing.TB) string { return programs.path(t, "./worker", raceFlags...) }

// path builds a package.
func (b *built) path(t testing.TB, source string, flags ...string) string {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if path := b.paths[source]; path != "" {
		return path
	}
	path, err := b.build(source, flags)
	if err != nil {
		t.Fatal(err)
	}
	b.paths[source] = path
	return path
}

// build builds a package into the directory of this process. mu is held.
func (b *built) build(source string, flags []string) (string, error) {
	if b.dir == "" {
		dir, err := os.MkdirTemp("", "understudy-integration-")
		if err != nil {
			return "", err
		}
		b.dir, b.paths = dir, map[string]string{}
	}
	path := filepath.Join(b.dir, filepath.Base(source))
	args := append([]string{"build", "-buildvcs=false", "-o", path}, flags...)
	if out, err := exec.Command("go", append(args, source)...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", source, err, out)
	}
	return path, nil
}

func (b *built) remove() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.dir != "" {
		_ = os.RemoveAll(b.dir) // what is left is in the system's temporary directory
	}
}
