package store_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/internal/pgtest"
	"github.com/understudy-worker/understudy/store"
)

// fixture is a migrated schema of a test's own.
type fixture struct {
	*store.Store
	pool   *pgxpool.Pool
	schema string
}

func migrated(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{pool: pgtest.Pool(t), schema: pgtest.Schema(t)}
	if err := store.Migrate(t.Context(), f.pool.Config().ConnConfig, store.MigrateOptions{Schema: f.schema, Log: slog.Default()}); err != nil {
		t.Fatal(err)
	}
	s, err := store.New(f.pool, f.schema)
	if err != nil {
		t.Fatal(err)
	}
	f.Store = s
	return f
}

// epoch opens an epoch on the fixture's schema.
func (f *fixture) epoch(t testing.TB, change ...func(*store.QueueOptions)) *store.Queue {
	t.Helper()
	options := store.QueueOptions{
		Pod: t.Name(), Lease: time.Minute, MaxLosses: 5, Retention: time.Hour,
		Place: understudy.Place{Role: "active", Target: "production", Schema: f.schema, Version: "1.0"},
	}
	for _, c := range change {
		c(&options)
	}
	q, err := store.NewQueue(f.pool, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(q.Close)
	if err := q.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return q
}

func (f *fixture) enqueue(t *testing.T, jobs ...store.NewJob) []int64 {
	t.Helper()
	ids, err := f.EnqueueMany(t.Context(), jobs)
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func claim(t *testing.T, q *store.Queue, limit int, kinds ...string) []*understudy.Job {
	t.Helper()
	jobs, err := q.Claim(t.Context(), understudy.ClaimRequest{Queue: "default", Kinds: kinds, Limit: limit})
	if err != nil {
		t.Fatal(err)
	}
	return jobs
}

func record(t *testing.T, q *store.Queue, outcomes ...understudy.Outcome) understudy.Recorded {
	t.Helper()
	done, err := q.Record(t.Context(), outcomes)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

func (f *fixture) job(t *testing.T, id int64) store.JobRow {
	t.Helper()
	row, err := f.Job(context.WithoutCancel(t.Context()), id)
	if err != nil {
		t.Fatal(err)
	}
	return row
}
