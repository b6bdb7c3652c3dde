package store_test

import (
	"testing"
	"time"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/store"
)

// BenchmarkSearch is what a page costs among a million finished jobs; for what
// is rare, to look at all of them.
func BenchmarkSearch(b *testing.B) {
	f := durable(b)
	f.history(b, 1_000_000)
	for _, c := range []struct {
		name   string
		search store.Search
		jobs   int // that it must find
	}{
		{"first page", store.Search{}, 50},
		{"deep page", store.Search{Before: 300_000}, 50},
		{"running", store.Search{State: understudy.StateRunning}, 0},
		{"rare state", store.Search{State: understudy.StateDiscarded}, 20},
		{"rare kind", store.Search{Kind: "rare"}, 10},
		{"rare text", store.Search{Text: "User17@"}, 1},
		{"common text", store.Search{Text: "example.com"}, 50},
	} {
		b.Run(c.name, func(b *testing.B) {
			c.search.Budget = time.Minute
			for b.Loop() {
				if found, err := f.Search(b.Context(), c.search); err != nil || len(found.Jobs) != c.jobs || found.Early {
					b.Fatalf("found %d jobs, early %t, error %v", len(found.Jobs), found.Early, err)
				}
			}
		})
	}
}

// history is so many finished jobs, of which a few are discarded, and a few of
// a rare kind.
func (f *fixture) history(b *testing.B, jobs int) {
	b.Helper()
	f.exec(b, `INSERT INTO {schema}.finished_jobs (slice, id, queue, kind, args, state, priority, scheduled_at, attempt, max_attempts, losses,
			requeues, metadata, created_at, attempted_at, worker_id, worker_version, worker_role, result)
		SELECT 6 * n / $1, n, 'default', CASE WHEN n % 100000 = 7 THEN 'rare' ELSE 'noop' || n % 10 END,
			jsonb_build_object('to', 'user' || n || '@example.com', 'template', 'welcome'),
			CASE WHEN n % 50000 = 3 THEN 'discarded' ELSE 'completed' END, 1, now(), 1, 25, 0, 0, '{}', now(), now(),
			gen_random_uuid(), '1.0', 'active', '{"message": "sent"}'
		FROM generate_series(1, $1::int) AS n`, jobs)
	f.exec(b, "INSERT INTO {schema}.finished_counts SELECT slice, queue, kind, state, count(*) FROM {schema}.finished_jobs GROUP BY 1, 2, 3, 4")
	f.exec(b, "VACUUM ANALYZE {schema}.finished_jobs")
}
