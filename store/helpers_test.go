package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/internal/pgtest"
	"github.com/understudy-worker/understudy/store"
)

// fixture is a migrated schema of a test's own, which is checked when the test ends.
type fixture struct {
	*store.Store
	pool   *pgxpool.Pool
	schema string
}

func migrated(t *testing.T) *fixture {
	t.Helper()
	f := migrate(t, pgtest.Pool(t), pgtest.Schema(t))
	t.Cleanup(func() { f.check(t) })
	return f
}

// onServer is a migrated schema on a server of the test's own.
func onServer(t testing.TB, dsn string) *fixture {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	f := migrate(t, pool, "jobs")
	t.Cleanup(func() { f.check(t) })
	return f
}

func migrate(t testing.TB, pool *pgxpool.Pool, schema string) *fixture {
	t.Helper()
	if err := store.Migrate(t.Context(), pool.Config().ConnConfig, store.MigrateOptions{Schema: schema}); err != nil {
		t.Fatal(err)
	}
	s, err := store.New(pool, schema)
	if err != nil {
		t.Fatal(err)
	}
	return &fixture{Store: s, pool: pool, schema: schema}
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

func (f *fixture) enqueue(t testing.TB, jobs ...store.NewJob) []int64 {
	t.Helper()
	ids, err := f.EnqueueMany(t.Context(), jobs)
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// withPool is the same schema over another pool.
func (f *fixture) withPool(t testing.TB, config *pgxpool.Config) *fixture {
	t.Helper()
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	s, err := store.New(pool, f.schema)
	if err != nil {
		t.Fatal(err)
	}
	return &fixture{Store: s, pool: pool, schema: f.schema}
}

// pooled says that a transaction pooler stands before the server.
func pooled(o *store.QueueOptions) { o.Pooled = true }

func claim(t testing.TB, q *store.Queue, limit int, kinds ...string) []*understudy.Job {
	t.Helper()
	jobs, _, err := q.Claim(t.Context(), understudy.ClaimRequest{Queue: "default", Kinds: kinds, Limit: limit})
	if err != nil {
		t.Fatal(err)
	}
	return jobs
}

func record(t testing.TB, q *store.Queue, outcomes ...understudy.Outcome) understudy.Recorded {
	t.Helper()
	done, err := q.Record(t.Context(), outcomes)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// held is claim where it must bring exactly the jobs with these ids.
func held(t testing.TB, q *store.Queue, ids []int64, kinds ...string) []*understudy.Job {
	t.Helper()
	jobs := claim(t, q, len(ids)+1, kinds...)
	if diff := cmp.Diff(ids, idsOf(jobs)); diff != "" {
		t.Fatalf("claimed jobs (-want +got):\n%s", diff)
	}
	return jobs
}

func idsOf(jobs []*understudy.Job) []int64 {
	var ids []int64
	for _, job := range jobs {
		ids = append(ids, job.ID)
	}
	return ids
}

func (f *fixture) job(t testing.TB, id int64) store.JobRow {
	t.Helper()
	row, err := f.Job(context.WithoutCancel(t.Context()), id)
	if err != nil {
		t.Fatal(err)
	}
	return row
}

// state is the state of one job.
func (f *fixture) state(t testing.TB, id int64) understudy.State {
	t.Helper()
	return f.job(t, id).State
}

// expireLease makes it seem that an epoch has not been heard of for long.
func (f *fixture) expireLease(t testing.TB, q *store.Queue) {
	t.Helper()
	if n := f.exec(t, "UPDATE {schema}.workers SET lease_until = now() - interval '1 s' WHERE id = $1", q.Epoch()); n != 1 {
		t.Fatalf("expired %d epochs", n)
	}
}

// rescue runs one rescue, which must take so many jobs.
func rescue(t testing.TB, q *store.Queue, want int) {
	t.Helper()
	got, err := q.Rescue(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Fatalf("rescued %d jobs, want %d", got, want)
	}
}
