package main

import (
	"context"
	"errors"
	"time"
)

// sustainedMeasure enqueues and works at once: the highest rate at which the
// queue does not grow.
var sustainedMeasure = measure{key: "sustained", run: inDatabase(func(ctx context.Context, t *trial, d *database) error {
	if err := d.settle(ctx); err != nil {
		return err
	}
	figures, err := t.flowing(ctx, d, func(f *flow) (map[string]float64, error) { return t.sustained(ctx, d, f) })
	if err != nil {
		return err
	}
	return t.keep("sustained", "enqueue and work at once", map[string]int{
		"concurrency": t.concurrency(), "open": t.sizes.sustainOpen, "seconds": int(t.sizes.sustain.Seconds()),
	}, figures)
})}

// flowing runs a worker beside a flow of jobs, which do uses, and checks in
// the end that every job is completed.
func (t *trial) flowing(ctx context.Context, d *database, do func(*flow) (map[string]float64, error)) (figures map[string]float64, err error) {
	db, err := pool(ctx, d.dsn, flowConns, ownApplication)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	p, err := t.system.open(db)
	if err != nil {
		return nil, err
	}
	c, err := hire(ctx, assignment{System: t.system.key, DSN: d.dsn, Concurrency: t.concurrency()}, 1)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.dismiss()) }()
	if err := c.begin(); err != nil {
		return nil, err
	}
	f := &flow{producer: p, crew: c, open: t.sizes.sustainOpen}
	f.forget()
	if figures, err = do(f); err != nil {
		return nil, err
	}
	return figures, f.finish(ctx, t.system, d)
}

// finish waits for the open jobs and checks that all are completed.
func (f *flow) finish(ctx context.Context, s system, d *database) error {
	if err := f.crew.wait(ctx, f.enqueued); err != nil {
		return err
	}
	if err := untilIdle(ctx, s, d, f.enqueued); err != nil {
		return err
	}
	return s.verify(ctx, d.pool, f.enqueued, 0)
}

// sustained warms up and then measures.
func (t *trial) sustained(ctx context.Context, d *database, f *flow) (map[string]float64, error) {
	if err := f.runFor(ctx, t.sizes.sustainWarmUp); err != nil {
		return nil, err
	}
	f.forget()
	rate, err := t.rateOver(ctx, d, f, t.sizes.sustain)
	if err != nil {
		return nil, err
	}
	return map[string]float64{"jobs_per_s": rate, "open_least": float64(f.least)}, nil
}

// rateOver is how many jobs a second the server gets as completed while the
// flow goes on, for span, or for longer where that sees none completed: the
// flow fails once a worker makes no headway at all.
func (t *trial) rateOver(ctx context.Context, d *database, f *flow, span time.Duration) (float64, error) {
	completed := func() (int, time.Time, error) {
		at := time.Now() // a count is as of its begin
		n, err := t.system.completed(ctx, d.pool, f.enqueued)
		return n, at, err
	}
	before, began, err := completed()
	if err != nil {
		return 0, err
	}
	for {
		if err := f.runFor(ctx, span); err != nil {
			return 0, err
		}
		after, ended, err := completed()
		if err != nil {
			return 0, err
		}
		if after > before {
			return float64(after-before) / ended.Sub(began).Seconds(), nil
		}
	}
}
