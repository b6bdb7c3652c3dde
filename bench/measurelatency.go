package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/understudy-worker/understudy/internal/pause"
)

// latencyMeasure enqueues jobs one by one at an even pace and asks how soon
// each one's handler begins.
var latencyMeasure = measure{key: "latency", run: inDatabase(func(ctx context.Context, t *trial, d *database) error {
	if err := d.settle(ctx); err != nil {
		return err
	}
	jobsIn := func(d time.Duration) int { return int(d.Seconds() * float64(t.sizes.latencyRate)) }
	warm := jobsIn(t.sizes.latencyWarmUp)
	sent := newPaced(warm+jobsIn(t.sizes.latency), t.sizes.latencyRate)
	starts, err := t.paced(ctx, d, sent)
	if err != nil {
		return err
	}
	parameters := map[string]int{"concurrency": t.concurrency(), "jobs": len(starts) - warm, "per_s": t.sizes.latencyRate}
	return t.keep(variantPaced, fmt.Sprintf("start of a job at %d jobs/s", t.sizes.latencyRate), parameters, sent.figures(starts, warm))
})}

// variantPaced is the only variant of the latency.
const variantPaced = "paced"

// latencyConns is how many connections enqueue, so that a slow commit delays
// no other job.
const latencyConns = 8

// paced enqueues the jobs beside a worker and returns when each began.
func (t *trial) paced(ctx context.Context, d *database, sent *pacedJobs) (starts []int64, err error) {
	jobs := len(sent.begun)
	c, err := hire(ctx, assignment{System: t.system.key, DSN: d.dsn, Concurrency: t.concurrency(), Numbered: jobs}, 1)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.dismiss()) }()
	if err := c.begin(); err != nil {
		return nil, err
	}
	if err := sent.enqueue(ctx, t.system, d); err != nil {
		return nil, err
	}
	if err := c.wait(ctx, jobs); err != nil {
		return nil, err
	}
	if err := untilIdle(ctx, t.system, d, jobs); err != nil {
		return nil, err
	}
	if err := t.system.verify(ctx, d.pool, jobs, 0); err != nil {
		return nil, err
	}
	if starts, err = c.starts(ctx); err != nil {
		return nil, err
	}
	if len(starts) != jobs || slices.Contains(starts, 0) {
		return nil, fmt.Errorf("the worker does not say of all %d jobs when they began", jobs)
	}
	return starts, nil
}

// pacedJobs are jobs that are enqueued one by one at an even pace.
type pacedJobs struct {
	every time.Duration
	// By number of the job, in nanoseconds since 1970: when the call that
	// enqueued it began, and when it returned.
	begun, returned []int64
}

func newPaced(jobs, perSecond int) *pacedJobs {
	return &pacedJobs{every: time.Second / time.Duration(perSecond), begun: make([]int64, jobs), returned: make([]int64, jobs)}
}

// enqueue enqueues them, each when its time has come, whatever became of those before.
func (j *pacedJobs) enqueue(ctx context.Context, s system, d *database) error {
	db, err := pool(ctx, d.dsn, latencyConns, ownApplication)
	if err != nil {
		return err
	}
	defer db.Close()
	p, err := s.open(db)
	if err != nil {
		return err
	}
	var next atomic.Int64
	first := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for range latencyConns {
		group.Go(func() error {
			for n := int(next.Add(1)) - 1; n < len(j.begun); n = int(next.Add(1)) - 1 {
				if err := pause.For(ctx, time.Until(first.Add(time.Duration(n)*j.every))); err != nil {
					return err
				}
				j.begun[n] = time.Now().UnixNano()
				if err := p.one(ctx, newArgs(n)); err != nil {
					return err
				}
				j.returned[n] = time.Now().UnixNano()
			}
			return nil
		})
	}
	return group.Wait()
}

// figures are the latencies of the jobs from the number warm on, in
// milliseconds, from the commit and from the begin of the call. A handler can
// begin before the call has returned: that counts as 0.
func (j *pacedJobs) figures(starts []int64, warm int) map[string]float64 {
	figures := map[string]float64{}
	for suffix, from := range map[string][]int64{"": j.returned, "_from_call": j.begun} {
		var late []float64
		for n := warm; n < len(starts); n++ {
			late = append(late, max(0, float64(starts[n]-from[n])/1e6))
		}
		for name, value := range quantiles(late) {
			figures[name+suffix+"_ms"] = value
		}
	}
	return figures
}
