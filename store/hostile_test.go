package store_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/internal/pgtest"
	"github.com/understudy-worker/understudy/store"
)

// traps are what a caller may have, by accident or not, where an unqualified
// name finds it before the schema's tables and Postgres's own functions.
var traps = []string{
	"CREATE TABLE {trap}.open_jobs (LIKE {schema}.open_jobs INCLUDING ALL)",
	"CREATE TABLE {trap}.ready (LIKE {schema}.ready INCLUDING ALL)",
	"CREATE TABLE {trap}.later (LIKE {schema}.later INCLUDING ALL)",
	"CREATE TABLE {trap}.claims (LIKE {schema}.claims INCLUDING ALL)",
	"CREATE TABLE {trap}.workers (LIKE {schema}.workers INCLUDING ALL)",
	"CREATE TABLE {trap}.slices (LIKE {schema}.slices INCLUDING ALL)",
	"CREATE TABLE {trap}.finished_counts (LIKE {schema}.finished_counts INCLUDING ALL)",
	"CREATE TABLE {trap}.finished_jobs (LIKE {schema}.finished_jobs INCLUDING ALL)",
	"CREATE FUNCTION {trap}.now() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN RAISE 'the now() of a trap'; END $$",
	"CREATE FUNCTION {trap}.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN RAISE 'the clock of a trap'; END $$",
	"CREATE FUNCTION {trap}.format(text, VARIADIC text[]) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'the format() of a trap'; END $$",
	"CREATE FUNCTION {trap}.pg_notify(text, text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE 'the pg_notify() of a trap'; END $$",
	"CREATE FUNCTION {trap}.octet_length(text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE 'the octet_length() of a trap'; END $$",
	"CREATE FUNCTION {trap}.md5(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'the md5() of a trap'; END $$",
	"CREATE FUNCTION {trap}.insert_jobs(bigint[], text[], jsonb[], text[], int[], timestamptz[], int[], text[], jsonb[]) RETURNS bigint[] LANGUAGE plpgsql AS $$ BEGIN RAISE 'the insert_jobs() of a trap'; END $$",
	"CREATE FUNCTION {trap}.enqueue_many(text[], jsonb[], text[], int[], timestamptz[], int[], text[], jsonb[], int, boolean) RETURNS bigint[] LANGUAGE plpgsql AS $$ BEGIN RAISE 'the enqueue_many() of a trap'; END $$",
}

// temporary are traps that stand before everything else in any search path.
var temporary = []string{
	"CREATE TEMPORARY TABLE open_jobs (id bigint)",
	"CREATE TEMPORARY TABLE ready (id bigint)",
	"CREATE TEMPORARY TABLE later (id bigint)",
	"CREATE TEMPORARY TABLE slices (id bigint)",
	"CREATE TEMPORARY TABLE finished_jobs (id bigint)",
}

// trapped is the fixture's schema over a pool whose sessions look into the
// traps first.
func (f *fixture) trapped(t *testing.T) *fixture {
	t.Helper()
	trap := pgtest.Schema(t)
	f.exec(t, "CREATE SCHEMA "+trap)
	for _, statement := range traps {
		f.exec(t, strings.ReplaceAll(statement, "{trap}", trap))
	}
	config := f.pool.Config()
	config.ConnConfig.RuntimeParams["search_path"] = trap + ", pg_catalog, " + f.schema
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		for _, statement := range temporary {
			if _, err := conn.Exec(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	}
	t.Cleanup(func() { f.untouched(t, trap) })
	return f.withPool(t, config)
}

// untouched checks that nothing was written into the trap.
func (f *fixture) untouched(t *testing.T, trap string) {
	conn := pgtest.Conn(t)
	for _, table := range []string{"open_jobs", "ready", "later", "claims", "workers", "finished_counts", "finished_jobs"} {
		var n int
		if err := conn.QueryRow(context.Background(), "SELECT count(*) FROM "+trap+"."+table).Scan(&n); err != nil || n != 0 {
			t.Errorf("%d rows were written to the %s of a trap, error %v", n, table, err)
		}
	}
}

func TestNoSearchPathDecidesWhereAJobGoes(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	g := f.trapped(t)
	var want []int64
	want = append(want, get[int64](t, g, "SELECT {schema}.enqueue('a')"))
	want = append(want, get[[]int64](t, g, "SELECT {schema}.enqueue_many('{a,a}', scheduled_ats => '{NULL,2000-01-01}')")...)
	err := pgx.BeginFunc(t.Context(), g.pool, func(tx pgx.Tx) error {
		g.in(t, tx, "CREATE TEMPORARY TABLE finished_counts (id bigint)")
		id, err := g.EnqueueTx(t.Context(), tx, store.NewJob{Kind: "a", UniqueKey: "k"})
		want = append(want, id)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, mustEnqueue(t, g, store.NewJob{Kind: "a"}))
	rows, err := f.Jobs(t.Context(), store.Filter{State: understudy.StateAvailable})
	if err != nil {
		t.Fatal(err)
	}
	var got []int64
	for i := range rows {
		got = append(got, rows[len(rows)-1-i].ID)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("jobs of the right schema (-want +got):\n%s", diff)
	}
	_, err = g.pool.Exec(t.Context(), g.sql("SELECT {schema}.enqueue(repeat('k', 129))"))
	wantError(t, err, "kind has 129 bytes, the limit is 128")
}

func TestNoSearchPathDecidesWhatAWorkerDoes(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	g := f.trapped(t)
	q := g.epoch(t)
	ids := g.enqueue(t, store.NewJob{Kind: "a"}, store.NewJob{Kind: "a"}, store.NewJob{Kind: "a"}, store.NewJob{Kind: "a"})
	jobs := held(t, q, ids, "a")
	tx := g.begin(t)
	if err := store.CompleteTx(t.Context(), tx, jobs[0]); err != nil {
		t.Fatal(err)
	}
	commit(t, tx)
	record(t, q, understudy.Outcome{Job: jobs[1], Verdict: understudy.Completed}, understudy.Outcome{Job: jobs[2], Verdict: understudy.Retried, Error: "no"})
	if _, err := g.Cancel(t.Context(), ids[2]); err != nil {
		t.Fatal(err)
	}
	if _, err := g.RetryCompleted(t.Context(), ids[1]); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := q.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.expireLease(t, q)
	rescue(t, g.epoch(t), 1)
	var states []understudy.State
	for _, id := range ids {
		states = append(states, f.state(t, id))
	}
	want := []understudy.State{understudy.StateCompleted, understudy.StateAvailable, understudy.StateCancelled, understudy.StateAvailable}
	if diff := cmp.Diff(want, states); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
}
