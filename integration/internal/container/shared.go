package container

import (
	"context"
	"sync"
	"testing"
)

// Shared is one server for all tests of the process that only use it and break
// nothing.
func Shared(t testing.TB) *Postgres {
	t.Helper()
	skipIfShort(t)
	p, err := shared.start()
	if err != nil {
		t.Fatalf("this test needs a Postgres server in a container (or -short): %v", err)
	}
	return p
}

// shared is the server of this test process.
var shared sharedServer

type sharedServer struct {
	once     sync.Once
	postgres *Postgres
	err      error
}

// start starts the server, once. It is not the first test's alone, and so
// does not end with that one's context.
func (s *sharedServer) start() (*Postgres, error) {
	s.once.Do(func() { s.postgres, s.err = startPostgres(context.Background(), superuser, nil) })
	return s.postgres, s.err
}

// remove removes the server if it was started.
func (s *sharedServer) remove() error {
	if s.postgres == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), removePatience)
	defer cancel()
	return s.postgres.remove(ctx)
}
