package store_test

import (
	"strings"
	"testing"

	"github.com/understudy-worker/understudy/internal/pgtest"
	"github.com/understudy-worker/understudy/store"
)

// ballast are jobs that a claim has nothing to do with: their number, what
// distinguishes them, and where they stand.
var ballast = []struct {
	jobs            int
	queue, kind, at string
	place           string
}{
	{200_000, "default", "noop0", "now() + interval '1 day'", inLater},
	{200_000, "default", "unknown", "now() - interval '1 day'", inReady},
	{20_000, "other", "noop0", "now() - interval '1 day'", inReady},
}

const (
	inLater = `{schema}.later (run_at, job_id, queue, kind, state, priority, requeues)
		SELECT scheduled_at, id, queue, kind, waiting_state, priority, requeues FROM new`
	inReady = `{schema}.ready (queue, kind, priority, run_at, job_ids, requeues)
		SELECT queue, kind, priority, scheduled_at, ARRAY[id], requeues FROM new`
)

func TestJobsThatAreNotForAClaimCostItNothing(t *testing.T) {
	t.Parallel()
	light, heavy := migrate(t, pgtest.Pool(t), pgtest.Schema(t)), migrate(t, pgtest.Pool(t), pgtest.Schema(t))
	for _, b := range ballast {
		heavy.exec(t, `WITH new AS (
				INSERT INTO {schema}.open_jobs (queue, kind, args, waiting_state, priority, scheduled_at, max_attempts, metadata)
				SELECT $1, $2, '{}', 'scheduled', 1, `+b.at+`, 25, '{}' FROM generate_series(1, $3::int) RETURNING *)
			INSERT INTO `+b.place, b.queue, b.kind, b.jobs)
	}
	base, loaded := light.tuplesRead(t), heavy.tuplesRead(t)
	t.Logf("tuples read to work 500 jobs: %d alone, %d among many others", base, loaded)
	// Other tests' transactions keep the dead rows of this one's claims in the
	// way, which makes a difference of hundreds.
	if loaded > base+10_000 {
		t.Errorf("claims among many other jobs read %d tuples, alone they read %d", loaded, base)
	}
}

// tuplesReadIn is how many tuples were read in a schema's tables and indexes.
const tuplesReadIn = `SELECT coalesce((SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE schemaname = $1), 0)
	+ coalesce((SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE schemaname = $1), 0)`

// tuplesRead works 500 jobs of two kinds and says how many tuples that read in
// all tables and indexes.
func (f *fixture) tuplesRead(t *testing.T) int64 {
	t.Helper()
	const jobs = 500
	f.enqueue(t, noops(jobs, 2)...)
	const claimed = "SELECT n_tup_ins FROM pg_stat_user_tables WHERE schemaname = $1 AND relname = 'claims'"
	// A session's counts show for certain once it is over.
	f.pool.Reset()
	eventually(t, "enqueueing is counted", func() bool {
		return get[int64](t, f, "SELECT n_tup_ins FROM pg_stat_user_tables WHERE schemaname = $1 AND relname = 'open_jobs'", f.schema) >= jobs
	})
	before := get[int64](t, f, tuplesReadIn, f.schema)
	q := f.epoch(t)
	const claims = 10
	for range claims {
		if _, err := q.Promote(t.Context()); err != nil {
			t.Fatal(err)
		}
		completed(t, q, claim(t, q, jobs/claims, "noop0", "noop1")...)
	}
	q.Close()
	eventually(t, "the claims are counted", func() bool { return get[int64](t, f, claimed, f.schema) >= claims })
	eventually(t, "the outcomes are counted", func() bool {
		return get[int64](t, f, "SELECT n_tup_del FROM pg_stat_user_tables WHERE schemaname = $1 AND relname = 'open_jobs'", f.schema) == jobs
	})
	return get[int64](t, f, tuplesReadIn, f.schema) - before
}

func TestCountsDoNotReadWhatIsFinished(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	const jobs = 100_000
	f.exec(t, `INSERT INTO {schema}.finished_jobs (slice, id, queue, kind, args, state, priority, scheduled_at, attempt, max_attempts, losses, requeues, metadata, created_at)
		SELECT 0, n, 'default', 'a', '{}', 'completed', 1, now(), 1, 25, 0, 0, '{}', now() FROM generate_series(1, $1) n`, jobs)
	f.exec(t, "INSERT INTO {schema}.finished_counts VALUES (0, 'default', 'a', 'completed', $1)", jobs)
	counts, err := f.Counts(t.Context())
	if err != nil || len(counts) != 1 || counts[0] != (store.Count{Queue: "default", Kind: "a", State: "completed", Count: jobs}) {
		t.Errorf("counts are %v, error %v", counts, err)
	}
	plan := get[string](t, f, "EXPLAIN (FORMAT JSON) SELECT * FROM {schema}.job_counts")
	if strings.Contains(plan, "finished_jobs") || !strings.Contains(plan, "finished_counts") {
		t.Errorf("the counts are read from %s", plan)
	}
}
