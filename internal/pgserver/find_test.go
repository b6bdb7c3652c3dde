package pgserver

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fakeBindir makes a directory that looks like a server's.
func fakeBindir(t *testing.T, path ...string) string {
	t.Helper()
	dir := filepath.Join(path...)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"initdb", "postgres"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestEnvironmentNamesTheBinaries(t *testing.T) {
	dir := fakeBindir(t, t.TempDir())
	t.Setenv(BinVariable, dir)
	if got, err := Find(); err != nil || got != dir {
		t.Errorf("Find() = %q, %v; want %q", got, err, dir)
	}
}

func TestEnvironmentThatNamesNoBinariesIsAnError(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(BinVariable, dir)
	_, err := Find()
	if err == nil || !strings.Contains(err.Error(), BinVariable) || !strings.Contains(err.Error(), dir) {
		t.Errorf("Find(): %v, want an error that names %s and %s", err, BinVariable, dir)
	}
}

func TestNewestVersionComesFirst(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	var want []string
	for _, version := range []string{"17", "15", "9.6"} {
		want = append(want, fakeBindir(t, root, "pg", version, "bin"))
	}
	if diff := cmp.Diff(want, newestFirst(filepath.Join(root, "pg", "*", "bin"))); diff != "" {
		t.Errorf("order of versions (-want +got):\n%s", diff)
	}
}

func TestPathLeadsToTheBinaries(t *testing.T) {
	dir := fakeBindir(t, t.TempDir(), "real")
	links := filepath.Join(t.TempDir(), "links")
	if err := os.Mkdir(links, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "postgres"), filepath.Join(links, "postgres")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", links)
	var found []string
	for _, candidate := range onPath() {
		if checkBindir(candidate) == nil {
			found = append(found, candidate)
		}
	}
	if diff := cmp.Diff([]string{dir}, found); diff != "" {
		t.Errorf("directories found by PATH (-want +got):\n%s", diff)
	}
}

func TestMissingBinariesSayWhatToInstall(t *testing.T) {
	t.Parallel()
	_, err := firstBindir([]string{t.TempDir(), filepath.Join(t.TempDir(), "missing")})
	if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "apt-get install postgresql") {
		t.Errorf("without binaries: %v, want an error that names the package", err)
	}
}
