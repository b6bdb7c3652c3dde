package store_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/internal/pgtest"
	"github.com/understudy-worker/understudy/store"
)

// limited is the fixture's schema for a login that may have so many sessions.
type limited struct {
	*fixture
	login string
	admin *fixture
}

func (f *fixture) limited(t *testing.T, sessions int) *limited {
	t.Helper()
	login := strings.ToLower(fmt.Sprintf("limited_%d", time.Now().UnixNano()))
	f.exec(t, "CREATE ROLE "+login+" LOGIN PASSWORD 'secret'")
	t.Cleanup(func() {
		if _, err := f.pool.Exec(context.WithoutCancel(t.Context()), "DROP OWNED BY "+login+"; DROP ROLE "+login); err != nil {
			t.Error(err)
		}
	})
	f.exec(t, "GRANT USAGE ON SCHEMA {schema} TO "+login)
	f.exec(t, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO "+login)
	f.exec(t, "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {schema} TO "+login)
	l := &limited{login: login, admin: f}
	l.limit(t, sessions)
	config, err := pgxpool.ParseConfig(pgtest.DSN(t))
	if err != nil {
		t.Fatal(err)
	}
	config.ConnConfig.User, config.ConnConfig.Password = login, "secret"
	l.fixture = f.withPool(t, config)
	return l
}

func (l *limited) limit(t *testing.T, sessions int) {
	t.Helper()
	l.admin.exec(t, fmt.Sprintf("ALTER ROLE %s CONNECTION LIMIT %d", l.login, sessions))
}

// sessions lists the names of the login's sessions.
func (l *limited) sessions(t *testing.T) []string {
	t.Helper()
	return get[[]string](t, l.admin, "SELECT coalesce(array_agg(application_name ORDER BY application_name), '{}') FROM pg_stat_activity WHERE usename = $1", l.login)
}

// queue makes a queue whose epoch is not open.
func (l *limited) queue(t *testing.T) *store.Queue {
	t.Helper()
	q, err := store.NewQueue(l.pool, store.QueueOptions{
		Pod: t.Name(), Lease: time.Minute, MaxLosses: 5, Retention: time.Hour,
		Place: understudy.Place{Role: "active", Target: "production", Schema: l.schema, Version: "1.0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func TestAnEpochIsOpenedOnceItHasASessionForEverything(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	l := f.limited(t, 0)
	for sessions := range 4 {
		l.limit(t, sessions)
		q := l.queue(t)
		err := q.Open(t.Context())
		q.Close()
		if err == nil || !strings.Contains(err.Error(), "have a session") || !strings.Contains(err.Error(), "too many connections") {
			t.Errorf("with %d sessions: %v, want that there are too few, and for what", sessions, err)
		}
		if n := get[int](t, f, "SELECT count(*) FROM {schema}.workers"); n != 0 {
			t.Fatalf("with %d sessions the epoch was opened", sessions)
		}
		until(t, "they are given back", func() bool { return len(l.sessions(t)) == 0 })
	}
	l.limit(t, 4)
	q := l.queue(t)
	defer q.Close()
	if err := q.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := "[understudy claims understudy lease understudy listen understudy outcomes]"
	if got := fmt.Sprint(l.sessions(t)); got != want {
		t.Errorf("sessions are %s, want %s", got, want)
	}
	heard, done := make(chan struct{}, 1), make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { done <- q.Listen(ctx, func() { heard <- struct{}{} }, func() {}) }()
	<-heard
	f.enqueue(t, store.NewJob{Kind: "a"})
	<-heard // on the session of Open: there is no other
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestALaneThatCanHaveNoOtherSessionWaitsForTheOneItHas(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	l := f.limited(t, 4)
	q := l.queue(t)
	defer q.Close()
	if err := q.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	var under sync.WaitGroup
	for range 8 {
		under.Go(func() {
			for range 20 {
				if err := q.Renew(t.Context(), false); err != nil {
					t.Error(err)
				}
				if _, err := q.Reconcile(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	under.Wait()
}

func TestOutcomesThatCouldNotBeWrittenAreKnownBeforeThereAreAny(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	l := f.limited(t, 4)
	q := l.queue(t)
	defer q.Close()
	if err := q.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Record(t.Context(), nil); err != nil {
		t.Errorf("they could be written: %v", err)
	}
	l.limit(t, 0)
	f.exec(t, "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = $1 AND application_name LIKE '% outcomes'", l.login)
	until(t, "it is found out", func() bool {
		_, err := q.Record(t.Context(), nil)
		return err != nil && strings.Contains(err.Error(), "too many connections")
	})
	l.limit(t, 4)
	if _, err := q.Record(t.Context(), nil); err != nil {
		t.Errorf("they could be written again: %v", err)
	}
}

func TestASessionOfEachKindStaysHoweverIdle(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	l := f.limited(t, 10)
	config := l.pool.Config()
	config.HealthCheckPeriod = 10 * time.Millisecond
	l.fixture = l.withPool(t, config)
	q := l.queue(t)
	defer q.Close()
	if err := q.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.exec(t, "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = $1 AND application_name NOT LIKE '% listen'", l.login)
	for _, use := range []func() error{
		func() error { _, err := q.Record(t.Context(), nil); return err },
		func() error { return q.Renew(t.Context(), false) },
		func() error { _, err := q.Promote(t.Context()); return err },
	} {
		_ = use() // it may meet the session that is gone
	}
	want := "[understudy claims understudy lease understudy listen understudy outcomes]"
	until(t, "all are there again, and used by nobody", func() bool { return fmt.Sprint(l.sessions(t)) == want })
}

func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}
