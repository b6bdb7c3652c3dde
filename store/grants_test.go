package store_test

import (
	"context"
	"crypto/rand"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/internal/pgtest"
	"github.com/understudy-worker/understudy/store"
)

// login makes a login without rights, which is dropped when the test ends.
func login(t *testing.T, f *fixture) (name, password string) {
	t.Helper()
	name, password = "understudy_test_"+strings.ToLower(rand.Text()), rand.Text()
	f.exec(t, "CREATE ROLE "+name+" LOGIN PASSWORD '"+password+"'")
	admin := pgtest.Conn(t)
	t.Cleanup(func() {
		for _, statement := range []string{"DROP OWNED BY " + name + " CASCADE", "DROP ROLE " + name} {
			if _, err := admin.Exec(context.Background(), statement); err != nil {
				t.Errorf("%s: %v", statement, err)
			}
		}
	})
	return name, password
}

// as is the fixture's schema as a new login sees it, which has been granted
// what the statements say of {login}.
func (f *fixture) as(t *testing.T, grants ...string) *fixture {
	t.Helper()
	name, password := login(t, f)
	for _, grant := range grants {
		f.exec(t, strings.ReplaceAll(grant, "{login}", name))
	}
	return f.withPool(t, loginConfig(f.pool, name, password))
}

func loginConfig(pool *pgxpool.Pool, name, password string) *pgxpool.Config {
	config := pool.Config()
	config.ConnConfig.User, config.ConnConfig.Password = name, password
	return config
}

func TestAProducerMayEnqueueAndNothingElse(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	producer := f.as(t, "GRANT USAGE ON SCHEMA {schema} TO {login}",
		"GRANT EXECUTE ON FUNCTION {schema}.enqueue, {schema}.enqueue_many TO {login}")
	id := mustEnqueue(t, producer, store.NewJob{Kind: "a"})
	producer.enqueue(t, store.NewJob{Kind: "a"}, store.NewJob{Kind: "b", UniqueKey: "k"})
	get[int64](t, producer, "SELECT {schema}.enqueue('a', scheduled_at => now() + interval '1 day')")
	for _, statement := range []string{
		"SELECT FROM {schema}.jobs", "SELECT FROM {schema}.open_jobs", "DELETE FROM {schema}.ready", "SELECT FROM {schema}.job_counts",
		"SELECT {schema}.cancel(1)", "SELECT {schema}.retry(1)", "SELECT {schema}.prune('0')", "SELECT nextval('{schema}.open_jobs_id_seq')",
		"SELECT {schema}.insert_jobs('{1}', '{a}', NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
	} {
		_, err := producer.pool.Exec(t.Context(), f.sql(statement))
		wantError(t, err, "permission denied")
	}
	_, err := producer.Cancel(t.Context(), id)
	wantError(t, err, "permission denied for function cancel")
}

// runtime are the grants that a worker's login needs.
var runtime = []string{
	"GRANT USAGE ON SCHEMA {schema} TO {login}",
	"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {login}",
	"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {schema} TO {login}",
}

func TestARuntimeLoginNeedsNoMoreThanItsGrants(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	g := f.as(t, runtime...)
	wholeLife(t, g)
	for _, statement := range []string{
		"DROP TABLE {schema}.ready", "TRUNCATE {schema}.finished_jobs", "CREATE TABLE {schema}.mine ()", "ALTER TABLE {schema}.workers ADD COLUMN x int",
		"DROP FUNCTION {schema}.cancel", "DROP SCHEMA {schema} CASCADE",
	} {
		if _, err := g.pool.Exec(t.Context(), g.sql(statement)); err == nil {
			t.Errorf("the runtime login may %s", statement)
		}
	}
	status, err := store.Inspect(t.Context(), g.pool, g.schema, nil)
	if err != nil || !status.Serves() {
		t.Errorf("the runtime login finds the schema %s, error %v", status, err)
	}
}

// wholeLife uses everything that a worker does.
func wholeLife(t *testing.T, f *fixture, change ...func(*store.QueueOptions)) {
	t.Helper()
	q, other := f.epoch(t, change...), f.epoch(t, change...)
	ids := f.enqueue(t, noops(12, 1)...)
	jobs := held(t, q, ids, "noop0")
	if err := jobs[0].SetResult("fine"); err != nil {
		t.Fatal(err)
	}
	var outcomes []understudy.Outcome
	for i, verdict := range understudy.Verdicts {
		outcomes = append(outcomes, understudy.Outcome{Job: jobs[i], Verdict: verdict, Error: "no", Delay: time.Hour})
	}
	tx := f.begin(t)
	f.in(t, tx, "SELECT FROM {schema}.open_jobs WHERE id = $1 FOR UPDATE", ids[0])
	if done := record(t, q, outcomes...); len(done.Deferred) != 1 || len(done.Fenced)+len(done.Rejected) != 0 {
		t.Errorf("recorded %+v", done)
	}
	rollback(t, tx)
	record(t, q, outcomes[0])
	tx = f.begin(t)
	if err := store.CompleteTx(t.Context(), tx, jobs[6]); err != nil {
		t.Fatal(err)
	}
	commit(t, tx)
	if state, err := f.Cancel(t.Context(), ids[7]); err != nil || state != "running" {
		t.Errorf("cancel: %s, error %v", state, err)
	}
	if found, err := q.Reconcile(t.Context()); err != nil || len(found.CancelRequested) != 1 || found.Reclaimed != 0 {
		t.Errorf("reconciled %+v, error %v", found, err)
	}
	if err := q.Renew(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if err := q.End(t.Context()); err != nil { // releases jobs 8 to 11, cancels job 7
		t.Fatal(err)
	}
	if _, err := f.Retry(t.Context(), ids[1]); err != nil {
		t.Fatal(err)
	}
	again := claim(t, other, 100, "noop0")
	if len(again) != 6 { // 1, 5, and what End released
		t.Errorf("claimed %v", idsOf(again))
	}
	f.expireLease(t, other)
	last := f.epoch(t, change...)
	rescue(t, last, 6)
	if _, err := last.Promote(t.Context()); err != nil {
		t.Error(err)
	}
	if err := last.Prune(t.Context()); err != nil {
		t.Error(err)
	}
	f.readAll(t)
	if err := last.End(t.Context()); err != nil {
		t.Error(err)
	}
	want := map[understudy.State]int64{"completed": 2, "discarded": 0, "cancelled": 2, "retryable": 1, "scheduled": 1, "available": 6}
	counts, err := f.Counts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range counts {
		want[c.State] -= c.Count
	}
	for state, n := range want {
		if n != 0 {
			t.Errorf("%d jobs too few are %s", n, state)
		}
	}
	f.check(t)
}

// readAll uses everything that reads.
func (f *fixture) readAll(t *testing.T) {
	t.Helper()
	if rows, err := f.Jobs(t.Context(), store.Filter{State: "completed", Kind: "noop0", Queue: "default", Before: 1 << 40, Limit: 1}); err != nil || len(rows) != 1 {
		t.Errorf("listed %v, error %v", rows, err)
	}
	if workers, err := f.LiveWorkers(t.Context()); err != nil || len(workers) != 1 || workers[0] != (store.LiveWorkers{Role: "active", Workers: 1}) {
		t.Errorf("live workers are %v, error %v", workers, err)
	}
	if rows, err := f.Workers(t.Context(), 2); err != nil || len(rows) != 2 {
		t.Errorf("workers are %v, error %v", rows, err)
	}
	if due, err := f.Due(t.Context()); err != nil || len(due) != 1 {
		t.Errorf("due are %v, error %v", due, err)
	}
}

func TestThroughATransactionPoolerAllWorksTheSame(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	config := f.pool.Config()
	config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	config.ConnConfig.StatementCacheCapacity, config.ConnConfig.DescriptionCacheCapacity = 0, 0
	wholeLife(t, f.withPool(t, config), pooled)
	left := get[int](t, f, `SELECT count(*) FROM pg_settings WHERE source = 'session' AND name IN ('search_path', 'enable_seqscan', 'lock_timeout')`)
	if left != 0 {
		t.Errorf("%d settings were left in a session that others use", left)
	}
}

func TestADefaultOfStricterIsolationChangesNothing(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	for _, level := range []string{"repeatable read", "serializable"} {
		config := f.pool.Config()
		config.ConnConfig.RuntimeParams["default_transaction_isolation"] = level
		g := f.withPool(t, config)
		q, other := g.epoch(t), g.epoch(t)
		f.enqueue(t, noops(500, 1)...)
		var work sync.WaitGroup
		for _, q := range []*store.Queue{q, other} {
			work.Go(func() {
				for batch := claim(t, q, 7, "noop0"); len(batch) > 0; batch = claim(t, q, 7, "noop0") {
					if done := record(t, q, completions(batch)...); len(done.Fenced)+len(done.Deferred) > 0 {
						t.Errorf("%s: recorded %+v", level, done)
					}
				}
			})
		}
		work.Wait()
		if n := get[int](t, f, "SELECT count(*) FROM {schema}.open_jobs"); n != 0 {
			t.Errorf("%s: %d jobs are left", level, n)
		}
	}
}

func TestNoErrorTellsAPassword(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	config := loginConfig(f.pool, "no_such_login", "pa55w0rd")
	g := f.withPool(t, config)
	options := store.QueueOptions{Place: understudy.Place{Schema: f.schema}, Lease: time.Minute}
	q, err := store.NewQueue(g.pool, options)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	for what, call := range map[string]func() error{
		"open":    func() error { return q.Open(t.Context()) },
		"claim":   func() error { _, err := q.Claim(t.Context(), request("a")); return err },
		"listen":  func() error { return q.Listen(t.Context(), func() {}, func() {}) },
		"enqueue": func() error { _, err := g.Enqueue(t.Context(), store.NewJob{Kind: "a"}); return err },
		"list":    func() error { _, err := g.Jobs(t.Context(), store.Filter{}); return err },
		"migrate": func() error {
			return store.Migrate(t.Context(), config.ConnConfig, store.MigrateOptions{Schema: f.schema})
		},
	} {
		err := call()
		wantError(t, err, "authentication failed")
		wantError(t, err, f.schema)
		if strings.Contains(err.Error(), "pa55w0rd") || strings.Contains(err.Error(), "postgres://") {
			t.Errorf("%s tells the DSN: %v", what, err)
		}
	}
}
