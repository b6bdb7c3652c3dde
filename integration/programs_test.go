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

// released is the commit of the version that was released last: it works beside
// this one while a rollout lasts.
const released = "000f32e06bce220723ed2bc016bbf34d1eb3883a"

// releasedWorker is the ledger worker of that version. A clone without history has
// none to build.
func releasedWorker(t testing.TB) string {
	t.Helper()
	if err := exec.Command("git", "cat-file", "-e", released+"^{commit}").Run(); err != nil {
		t.Skipf("this clone does not hold commit %s, of the version that was released last: fetch its history", released)
	}
	return programs.released(t, "./integration/worker", raceFlags...)
}

// released builds a package of the version that was released last.
func (b *built) released(t testing.TB, source string, flags ...string) string {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	name := "released " + source
	if path := b.paths[name]; path != "" {
		return path
	}
	tree := t.TempDir()
	path, err := b.place("released-" + filepath.Base(source))
	if err == nil {
		err = b.export(tree)
	}
	if err == nil {
		err = compile(tree, path, source, flags)
	}
	if err != nil {
		t.Fatal(err)
	}
	b.paths[name] = path
	return path
}

// export puts the files of the version that was released last into a directory.
func (b *built) export(tree string) error {
	archive := filepath.Join(b.dir, "released.tar")
	for _, args := range [][]string{
		{"git", "-C", "..", "archive", "--output=" + archive, released},
		{"tar", "--extract", "--file=" + archive, "--directory=" + tree},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s %s: %w\n%s", args[0], args[1], err, out)
		}
	}
	return os.Remove(archive)
}

// path builds a package.
func (b *built) path(t testing.TB, source string, flags ...string) string {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if path := b.paths[source]; path != "" {
		return path
	}
	path, err := b.place(filepath.Base(source))
	if err == nil {
		err = compile(".", path, source, flags)
	}
	if err != nil {
		t.Fatal(err)
	}
	b.paths[source] = path
	return path
}

// place is where a program is built: in the directory of this process. mu is held.
func (b *built) place(name string) (string, error) {
	if b.dir == "" {
		dir, err := os.MkdirTemp("", "understudy-integration-")
		if err != nil {
			return "", err
		}
		b.dir, b.paths = dir, map[string]string{}
	}
	return filepath.Join(b.dir, name), nil
}

func compile(tree, path, source string, flags []string) error {
	args := append([]string{"-C", tree, "build", "-buildvcs=false", "-o", path}, flags...)
	if out, err := exec.Command("go", append(args, source)...).CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", source, err, out)
	}
	return nil
}

func (b *built) remove() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.dir != "" {
		_ = os.RemoveAll(b.dir) // what is left is in the system's temporary directory
	}
}
