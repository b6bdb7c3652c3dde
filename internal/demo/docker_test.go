package demo

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/understudy-worker/understudy/internal/pgserver"
)

// fakeDocker puts a docker on PATH that writes down how it is called and then
// does what the script says. It returns the file that it writes to.
func fakeDocker(t *testing.T, script string) string {
	t.Helper()
	dir := t.TempDir()
	calls := filepath.Join(dir, "calls")
	program := "#!/bin/sh\necho \"$@\" >>" + calls + "\n" + script
	if err := os.WriteFile(filepath.Join(dir, "docker"), []byte(program), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":/usr/bin:/bin")
	return calls
}

func TestAContainerThatDoesNotStartIsRemovedAndItsPasswordNotShown(t *testing.T) {
	calls := fakeDocker(t, `test "$1" = run || exit 0
test -n "$POSTGRES_PASSWORD" && echo "pulling...
no such luck" >&2
exit 125`)
	c := newContainer()
	_, err := c.open(t.Context())
	if want := "run postgres:17 in Docker: docker run: exit status 125: no such luck"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	said, err := os.ReadFile(calls)
	if err != nil || strings.Contains(string(said), c.password) {
		t.Fatalf("calls %q, error %v: want some, without the password", said, err)
	}
	lines := strings.Split(strings.TrimSpace(string(said)), "\n")
	want := []string{
		"run --rm -d --name " + c.name + " -p 127.0.0.1::5432 -e POSTGRES_PASSWORD postgres:17",
		"rm --force --volumes " + c.name,
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

func TestAContainerIsRemovedWhenItsStartIsInterrupted(t *testing.T) {
	calls := fakeDocker(t, `test "$1" = run && exec sleep 1000; echo "Error: No such container: x" >&2; exit 1`)
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errQuit)
	defer cancel()
	_, err := newContainer().open(ctx)
	if want := "run postgres:17 in Docker: quit"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	if said, err := os.ReadFile(calls); err != nil || !strings.Contains(string(said), "\nrm --force") {
		t.Errorf("calls %q, error %v: want a removal", said, err)
	}
}

func TestNoPostgresAnywhereSaysWhatToDo(t *testing.T) {
	t.Setenv("PATH", t.TempDir()) // no docker
	_, err := withoutBinaries(t.Context(), func(string, ...any) {})
	want := pgserver.ErrNotFound.Error() + "; or start Docker; or name a server with --dsn"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

// TestAContainerServesUntilItIsClosed needs the image: it is not pulled for it.
func TestAContainerServesUntilItIsClosed(t *testing.T) {
	t.Parallel()
	if _, err := docker(t.Context(), nil, "image", "inspect", dockerImage); err != nil {
		t.Skipf("needs the image %s: %v", dockerImage, err)
	}
	c := newContainer()
	database, err := c.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), database.dsn)
	if err != nil {
		t.Error(err)
	} else if err := conn.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := database.close(); err != nil {
		t.Error(err)
	}
	if out, err := docker(t.Context(), nil, "ps", "--all", "--quiet", "--filter", "name="+c.name); err != nil || out != "" {
		t.Errorf("container %q, error %v: want none", out, err)
	}
}
