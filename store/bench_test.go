package store_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/internal/pgserver"
	"github.com/understudy-worker/understudy/store"
)

// durable is a migrated schema on a server of its own that syncs its commits
// to the disk, as a real one does.
func durable(b *testing.B) *fixture {
	b.Helper()
	server, err := pgserver.Start(b.Context(), pgserver.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := server.Stop(); err != nil {
			b.Error(err)
		}
	})
	return onServer(b, server.DSN("postgres"))
}

// noops are n jobs of as many kinds.
func noops(n, kinds int) []store.NewJob {
	jobs := make([]store.NewJob, n)
	for i := range jobs {
		jobs[i] = store.NewJob{Kind: fmt.Sprintf("noop%d", i%kinds), Args: map[string]int{"n": i}}
	}
	return jobs
}

// BenchmarkClaimAndRecord drains 200,000 jobs with two queues, by size of the
// batches and number of kinds, every outcome durable.
func BenchmarkClaimAndRecord(b *testing.B) {
	for _, c := range []struct{ batch, kinds int }{{2000, 1}, {2000, 10}, {500, 1}, {500, 10}, {50, 1}, {50, 10}} {
		b.Run(fmt.Sprintf("batch=%d/kinds=%d", c.batch, c.kinds), func(b *testing.B) {
			const jobs = 200_000
			f := durable(b)
			var kinds []string
			for k := range c.kinds {
				kinds = append(kinds, fmt.Sprintf("noop%d", k))
			}
			queues := []*store.Queue{f.epoch(b), f.epoch(b)}
			for b.Loop() {
				b.StopTimer()
				if _, err := f.EnqueueMany(b.Context(), noops(jobs, c.kinds)); err != nil {
					b.Fatal(err)
				}
				if _, err := f.pool.Exec(b.Context(), "CHECKPOINT"); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				var drained sync.WaitGroup
				for _, q := range queues {
					drained.Go(func() { drain(b, q, c.batch, kinds) })
				}
				drained.Wait()
			}
			b.ReportMetric(float64(jobs*b.N)/b.Elapsed().Seconds(), "jobs/s")
		})
	}
}

// drain claims and completes until nothing is left.
func drain(b *testing.B, q *store.Queue, batch int, kinds []string) {
	for {
		jobs, _, err := q.Claim(b.Context(), understudy.ClaimRequest{Queue: "default", Kinds: kinds, Limit: batch})
		if err != nil {
			b.Error(err)
			return
		}
		if len(jobs) == 0 {
			return
		}
		outcomes := make([]understudy.Outcome, len(jobs))
		for i, job := range jobs {
			outcomes[i] = understudy.Outcome{Job: job, Verdict: understudy.Completed}
		}
		if done, err := q.Record(b.Context(), outcomes); err != nil || len(done.Fenced) > 0 {
			b.Errorf("recorded %d, %d fenced, error %v", len(outcomes), len(done.Fenced), err)
			return
		}
	}
}

// BenchmarkEnqueueMany enqueues 200,000 jobs in one call.
func BenchmarkEnqueueMany(b *testing.B) {
	const jobs = 200_000
	f := durable(b)
	all := noops(jobs, 1)
	for b.Loop() {
		if _, err := f.EnqueueMany(b.Context(), all); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(jobs*b.N)/b.Elapsed().Seconds(), "jobs/s")
}
