package app_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/store"
)

// stagehand is a worker that does with each job what a test wants, for
// commands that look at what workers did.
type stagehand struct {
	t     *testing.T
	queue *store.Queue
}

// hand opens an epoch on a schema of the shell; hash is its template hash.
func (s *shell) hand(schema, pod, hash string) *stagehand {
	s.t.Helper()
	queue, err := store.NewQueue(s.pool, store.QueueOptions{
		Pod: pod, TemplateHash: hash, Lease: time.Minute, MaxLosses: 5, Retention: time.Hour,
		Place: understudy.Place{Role: "preview", Target: "preview", Schema: schema, Version: "2.0"},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(queue.Close)
	if err := queue.Open(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	return &stagehand{s.t, queue}
}

// take claims jobs of kind echo.
func (h *stagehand) take(ctx context.Context) []*understudy.Job {
	jobs, _, err := h.queue.Claim(ctx, understudy.ClaimRequest{Queue: "default", Kinds: []string{"echo"}, Limit: 3})
	if err != nil && ctx.Err() == nil {
		h.t.Error(err)
	}
	return jobs
}

func (h *stagehand) record(outcomes ...understudy.Outcome) {
	if _, err := h.queue.Record(context.WithoutCancel(h.t.Context()), outcomes); err != nil {
		h.t.Error(err)
	}
}

// works takes jobs and ends each as outcome says, until the returned function
// is called; one without a verdict it keeps.
func (h *stagehand) works(outcome func(job *understudy.Job) understudy.Outcome) (stop func()) {
	ctx, cancel := context.WithCancel(h.t.Context())
	var working sync.WaitGroup
	working.Go(func() {
		for ctx.Err() == nil {
			for _, job := range h.take(ctx) {
				if o := outcome(job); o.Verdict != 0 {
					o.Job = job
					h.record(o)
				}
			}
			select {
			case <-ctx.Done():
			case <-time.After(10 * time.Millisecond):
			}
		}
	})
	return func() {
		cancel()
		working.Wait()
	}
}

func completes(*understudy.Job) understudy.Outcome {
	return understudy.Outcome{Verdict: understudy.Completed}
}

func keeps(*understudy.Job) understudy.Outcome { return understudy.Outcome{} }
