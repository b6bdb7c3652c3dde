package main

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// flow is a producer that keeps a number of jobs open while workers work
// them: a closed loop, which goes as fast as both together can.
type flow struct {
	producer producer
	crew     *crew
	open     int // jobs that are open at most

	mu       sync.Mutex // held by whoever waits for room
	enqueued int        // jobs, those included that are about to be
	least    int        // jobs that were open at the least when there was room for more, since forget

	committed atomic.Int64
}

// flowBatch is how many jobs are enqueued at a time, and flowConns on how many
// connections: one alone would be slower than a fast worker.
const (
	flowBatch = 1_000
	flowConns = 4
)

// run enqueues and waits for room, until the number of jobs is enqueued or
// ctx has ended, which is no error.
func (f *flow) run(ctx context.Context, jobs int) error {
	group, working := errgroup.WithContext(ctx)
	for range flowConns {
		group.Go(func() error {
			for {
				more, err := f.step(working, jobs)
				if err != nil || !more {
					return err
				}
			}
		})
	}
	err := group.Wait()
	if ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
		return nil
	}
	return err
}

// step enqueues one batch when there is room for it, and says whether there is
// more to do. It does not break a batch off: then nobody would know whether it
// was enqueued.
func (f *flow) step(ctx context.Context, jobs int) (more bool, err error) {
	first, count, err := f.room(ctx, jobs)
	if err != nil || count == 0 {
		return false, err
	}
	if err := f.producer.bulk(context.WithoutCancel(ctx), newBatch(first, count)); err != nil {
		return false, err
	}
	f.committed.Add(int64(count))
	return true, nil
}

// room waits until there is room for a batch and takes it.
func (f *flow) room(ctx context.Context, jobs int) (first, count int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	count = min(flowBatch, jobs-f.enqueued)
	if count <= 0 {
		return 0, 0, nil
	}
	if err := f.crew.wait(ctx, f.enqueued+count-f.open); err != nil {
		return 0, 0, err
	}
	if ctx.Err() != nil {
		return 0, 0, context.Cause(ctx)
	}
	f.least = max(0, min(f.least, int(f.committed.Load())-f.crew.done()))
	first = f.enqueued
	f.enqueued += count
	return first, count, nil
}

// runFor is run for a time, as many jobs as that will be.
func (f *flow) runFor(ctx context.Context, d time.Duration) error {
	ending, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	if err := f.run(ending, math.MaxInt); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// forget forgets how many jobs were open at the least.
func (f *flow) forget() { f.least = math.MaxInt }
