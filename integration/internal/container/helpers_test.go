package container

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

func needEngine(t *testing.T) *engine {
	t.Helper()
	skipIfShort(t)
	e, err := docker()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// open opens a connection that is closed when the test ends.
func open(t testing.TB, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func run(t testing.TB, dsn, statement string) {
	t.Helper()
	if _, err := open(t, dsn).Exec(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func query[T any](t testing.TB, dsn, statement string) (value T) {
	t.Helper()
	if err := open(t, dsn).QueryRow(t.Context(), statement).Scan(&value); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return value
}

// count is how often a text stands in a server's log.
func count(t *testing.T, s *server, text string) int {
	t.Helper()
	log, err := s.Log(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(log, text)
}

// again runs this test program once more, with no test, in another
// environment. It returns its exit code and all that it printed.
func again(t *testing.T, environ string, flags ...string) (code int, output string) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, append(flags, "-test.run=^$")...)
	cmd.Env = append(os.Environ(), environ)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}
