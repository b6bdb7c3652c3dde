package worker

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/understudy-worker/understudy"
)

// benchQueue hands out as many jobs as it is asked for, until it has handed
// out its number, and counts what comes back.
type benchQueue struct {
	*fakeQueue
	left   atomic.Int64
	done   atomic.Int64
	total  int64
	rtt    time.Duration
	finish chan struct{}
	claims atomic.Int64
	writes atomic.Int64
}

func (q *benchQueue) Claim(_ context.Context, r understudy.ClaimRequest) ([]*understudy.Job, bool, error) {
	if q.rtt > 0 {
		time.Sleep(q.rtt)
	}
	q.claims.Add(1)
	n := min(int64(r.Limit), q.left.Load())
	end := q.left.Add(-n) + n
	jobs := make([]*understudy.Job, n)
	array := make([]understudy.Job, n)
	now := time.Now()
	for i := range jobs {
		jobs[i] = &array[i]
		jobs[i].ID, jobs[i].Kind, jobs[i].AttemptedAt, jobs[i].ScheduledAt = end-int64(i), "work", now, now
	}
	return jobs, len(jobs) == r.Limit, nil
}

func (q *benchQueue) Record(_ context.Context, o []understudy.Outcome) (understudy.Recorded, error) {
	if q.rtt > 0 {
		time.Sleep(q.rtt)
	}
	q.writes.Add(1)
	if q.done.Add(int64(len(o))) == q.total {
		close(q.finish)
	}
	return understudy.Recorded{}, nil
}

// BenchmarkNoopJobs measures what the loop itself costs a job.
func BenchmarkNoopJobs(b *testing.B) {
	for _, rtt := range []time.Duration{0, time.Millisecond, 10 * time.Millisecond} {
		for _, concurrency := range []int{1, 50, 500} {
			b.Run(fmt.Sprintf("roundtrip=%s/concurrency=%d", rtt, concurrency), func(b *testing.B) {
				benchmark(b, rtt, concurrency, 0)
			})
		}
	}
	b.Run("timeout", func(b *testing.B) { benchmark(b, 0, 50, time.Minute) })
}

func benchmark(b *testing.B, rtt time.Duration, concurrency int, timeout time.Duration) {
	q := &benchQueue{fakeQueue: newFakeQueue(), total: int64(b.N), rtt: rtt, finish: make(chan struct{})}
	q.left.Store(int64(b.N))
	w, err := New(Options{
		Queue: q, Queues: map[string]int{"default": concurrency}, JobTimeout: timeout,
		Handlers: understudy.Handlers{"work": understudy.HandlerFunc(nothing)},
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	b.ReportAllocs()
	b.ResetTimer()
	go func() { ended <- w.Run(ctx) }()
	<-q.finish
	b.StopTimer()
	stop()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
	b.ReportMetric(float64(b.N)/float64(q.claims.Load()), "jobs/claim")
	b.ReportMetric(float64(b.N)/float64(q.writes.Load()), "jobs/record")
}
