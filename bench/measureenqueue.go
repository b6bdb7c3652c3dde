package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// enqueueMeasure enqueues while nobody works.
var enqueueMeasure = measure{key: "enqueue", run: inDatabase(func(ctx context.Context, t *trial, d *database) error {
	enqueued := 0
	for _, way := range t.sizes.ways() {
		n, err := t.enqueued(ctx, d, way, enqueued)
		if err != nil {
			return fmt.Errorf("%s: %w", way.variant, err)
		}
		enqueued += n
	}
	return nil
})}

// way is one way to enqueue.
type way struct {
	variant string
	label   string
	jobs    int
	batch   int
	conns   int
	// call is the producer's call for it, nil where a system has none.
	call func(p producer) func(context.Context, []jobArgs) error
}

func (z sizes) ways() []way {
	single := func(one func(context.Context, jobArgs) error) func(context.Context, []jobArgs) error {
		if one == nil {
			return nil
		}
		return func(ctx context.Context, jobs []jobArgs) error { return one(ctx, jobs[0]) }
	}
	return []way{
		{"single", "one by one", z.singles, 1, 1, func(p producer) func(context.Context, []jobArgs) error { return single(p.one) }},
		{"sql", "one by one, plain SQL", z.singles, 1, 1, func(p producer) func(context.Context, []jobArgs) error { return single(p.sql) }},
		{"parallel", "one by one, 8 connections", z.pairs, 1, 8, func(p producer) func(context.Context, []jobArgs) error { return single(p.one) }},
		{"batch", "batches of 1,000", z.batches, flowBatch, 1, func(p producer) func(context.Context, []jobArgs) error { return p.batch }},
		{"copy", "batches of 1,000 by COPY", z.batches, flowBatch, 1, func(p producer) func(context.Context, []jobArgs) error { return p.copy }},
	}
}

// enqueued enqueues in one way, where the system has it, and returns how many jobs.
func (t *trial) enqueued(ctx context.Context, d *database, w way, before int) (int, error) {
	db, err := pool(ctx, d.dsn, int32(w.conns), ownApplication)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	p, err := t.system.open(db)
	if err != nil {
		return 0, err
	}
	call := w.call(p)
	if call == nil {
		return 0, nil
	}
	if err := call(ctx, newBatch(0, w.batch)); err != nil { // connects, and prepares statements
		return 0, err
	}
	if err := d.settle(ctx); err != nil {
		return 0, err
	}
	took, err := w.time(ctx, call)
	if err != nil {
		return 0, err
	}
	all := w.jobs + w.batch
	var open int
	if err := d.pool.QueryRow(ctx, t.system.openSQL).Scan(&open); err != nil {
		return 0, err
	}
	if open != before+all {
		return 0, fmt.Errorf("%s has %d open jobs on the server, want %d", t.system.title, open, before+all)
	}
	return all, t.keep(w.variant, w.label, map[string]int{"jobs": w.jobs, "connections": w.conns},
		map[string]float64{"jobs_per_s": float64(w.jobs) / took.Seconds()})
}

// time is how long the calls take, on all connections together.
func (w way) time(ctx context.Context, call func(context.Context, []jobArgs) error) (time.Duration, error) {
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	for range w.conns {
		group.Go(func() error {
			for n := int(next.Add(int64(w.batch))); n <= w.jobs; n = int(next.Add(int64(w.batch))) {
				if err := call(ctx, newBatch(n-w.batch, w.batch)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := group.Wait()
	return time.Since(began), err
}
