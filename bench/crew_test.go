package main

import (
	"io"
	"strings"
	"syscall"
	"testing"

	"github.com/understudy-worker/understudy/internal/pgtest"
)

func TestAWorkerProcessThatFailsIsNamedWithItsLog(t *testing.T) {
	t.Parallel()
	_, err := hire(t.Context(), assignment{System: "que"}, 1)
	if err == nil {
		t.Fatal("a worker process of no system was hired")
	}
	for _, part := range []string{"worker process 1 of que", `there is no system "que"`} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
}

func TestAWorkerProcessThatDiesEndsTheWait(t *testing.T) {
	t.Parallel()
	s := testServer(t)
	d := testDatabase(t, s, understudySystem())
	c, err := hire(t.Context(), assignment{System: understudyKey, DSN: d.dsn, Concurrency: 1}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.begin(); err != nil {
		t.Fatal(err)
	}
	if err := c.workers[0].process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	err = c.wait(t.Context(), 1)
	if err == nil || !strings.Contains(err.Error(), "worker process 1 of understudy has ended: signal: killed") {
		t.Errorf("waiting for a killed worker process: %v", err)
	}
	if err := c.dismiss(); err == nil {
		t.Error("a killed worker process was dismissed as if it had stopped by itself")
	}
}

func TestEverySystemIsVerifiedByAFullCount(t *testing.T) {
	t.Parallel()
	s := testServer(t)
	for _, of := range allSystems {
		d := testDatabase(t, s, of)
		if err := d.fill(t.Context(), of, 0, 3); err != nil {
			t.Fatal(err)
		}
		if err := of.verify(t.Context(), d.pool, 3, 0); err == nil || !strings.Contains(err.Error(), "has 0 completed jobs on the server, want 3") {
			t.Errorf("%s with three open jobs, of which three should be completed: %v", of.title, err)
		}
		if idle, err := of.idle(t.Context(), d.pool, 3); err != nil || idle {
			t.Errorf("%s with three open jobs is idle: %v, %v", of.title, idle, err)
		}
	}
}

func TestAWorkerProcessStopsWhenItsInputEnds(t *testing.T) {
	t.Parallel()
	if err := work(t.Context(), strings.NewReader(""), io.Discard); err != nil {
		t.Error(err)
	}
}

func testServer(t *testing.T) *server {
	t.Helper()
	s, err := startServer(t.Context(), pgtest.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func testDatabase(t *testing.T, s *server, of system) *database {
	t.Helper()
	d, err := s.database(t.Context(), of)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.drop(); err != nil {
			t.Error(err)
		}
	})
	return d
}
