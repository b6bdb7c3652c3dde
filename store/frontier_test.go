package store_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-worker/understudy/internal/pgtest"
	"github.com/understudy-worker/understudy/store"
)

// heldOpen is a schema in which many jobs of kind noop0 were claimed under a
// transaction that still sees them, so that no vacuum takes their rows away.
func heldOpen(t *testing.T, rows int) *fixture {
	t.Helper()
	// On a server of its own: other tests would wait for the vacuum that it keeps from them.
	f := onServer(t, pgtest.Server(t).DSN("postgres"))
	tx, err := f.pool.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	if _, err := tx.Exec(t.Context(), "SELECT txid_current()"); err != nil {
		t.Fatal(err)
	}
	f.exec(t, `INSERT INTO {schema}.ready (queue, kind, priority, run_at, job_ids, requeues)
		SELECT 'default', 'noop0', p, now() - interval '1 hour', ARRAY[-n], 0 FROM generate_series(1, $1::int) n, generate_series(1, 2) p`, rows/2)
	f.exec(t, "DELETE FROM {schema}.ready")
	return f
}

func TestRowsThatAHeldTransactionKeepsArePassedOnceInAWhile(t *testing.T) {
	t.Parallel()
	const rows, jobs = 400_000, 100
	f := heldOpen(t, rows)
	f.enqueue(t, slices.Repeat([]store.NewJob{{Kind: "noop0", Priority: 2}}, jobs)...)
	q := f.epoch(t)
	for range jobs / 10 {
		completed(t, q, claim(t, q, 10, "noop0")...)
	}
	if left := claim(t, q, 10, "noop0"); len(left) != 0 {
		t.Errorf("%d jobs came twice", len(left))
	}
	q.Close() // its counts show for certain once its sessions are over
	const read = "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE schemaname = $1 AND indexrelname = 'ready_pkey'"
	eventually(t, "the claims are counted", func() bool { return get[int64](t, f, read, f.schema) >= rows })
	if passed := get[int64](t, f, read, f.schema); passed > 4*rows {
		t.Errorf("11 claims passed %d rows, of which %d are dead", passed, rows)
	}
}

func TestBeyondAFrontierNoJobIsOverlooked(t *testing.T) {
	t.Parallel()
	f := heldOpen(t, 200_000)
	q := f.epoch(t)
	if jobs := claim(t, q, 10, "noop0", "noop1"); len(jobs) != 0 {
		t.Fatalf("claimed %d jobs of none", len(jobs))
	}
	// The look was dear: the following begin where it ended.
	now := get[time.Time](t, f, "SELECT now()")
	slow := f.enqueue(t, store.NewJob{Kind: "noop0", Priority: 2}, store.NewJob{Kind: "noop1", Priority: 2})
	late := f.enqueue(t, store.NewJob{Kind: "noop0", Priority: 3, ScheduledAt: now.Add(-500 * time.Millisecond)})
	urgent := f.enqueue(t, store.NewJob{Kind: "noop1", Priority: 1})
	for _, want := range []int64{urgent[0], slow[0], slow[1]} {
		if got := idsOf(claim(t, q, 1, "noop0", "noop1")); !slices.Equal(got, []int64{want}) {
			t.Errorf("claimed %v, want %d", got, want)
		}
	}
	more := f.enqueue(t, store.NewJob{Kind: "noop0", Priority: 1})
	if got, want := idsOf(claim(t, q, 10, "noop0", "noop1")), []int64{more[0], late[0]}; !slices.Equal(got, want) {
		t.Errorf("claimed %v, want %v", got, want)
	}
	behind := f.enqueue(t, store.NewJob{Kind: "noop0", ScheduledAt: now.Add(-time.Minute)})
	eventually(t, "a job behind the frontier is claimed", func() bool {
		return slices.Equal(idsOf(claim(t, q, 10, "noop0", "noop1")), behind)
	})
}

func TestBeyondAFrontierNoRowOfTheSameIDsIsOverlooked(t *testing.T) {
	t.Parallel()
	f := heldOpen(t, 200_000)
	q := f.epoch(t)
	ids := f.enqueue(t, noops(60, 1)...)
	f.exec(t, "UPDATE {schema}.ready SET run_at = now() - interval '1 minute'") // long visible
	f.exec(t, "UPDATE {schema}.open_jobs SET scheduled_at = (SELECT max(run_at) FROM {schema}.ready)")
	f.interleave(t)
	var got []int64
	for range 60 / 5 {
		got = append(got, idsOf(claim(t, q, 5, "noop0"))...)
	}
	if slices.Sort(got); !slices.Equal(got, ids) {
		t.Errorf("claimed %v, want %v", got, ids)
	}
}
