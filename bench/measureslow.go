package main

import (
	"context"
	"fmt"
	"time"
)

// slowMeasure works jobs that take their time, and asks how much of what the
// slots could do is done.
var slowMeasure = measure{key: "slow", run: func(ctx context.Context, t *trial) error {
	z := t.sizes
	if err := t.slow(ctx, "slow", t.drainJobs(z.slowJobs), z.slow, z.slowSlots); err != nil {
		return err
	}
	if t.system.connEach { // it would need as many connections as slots
		return nil
	}
	return t.slow(ctx, "slowest", z.slowestJobs, z.slowest, z.slowestSlots)
}}

func (t *trial) slow(ctx context.Context, variant string, jobs int, takes time.Duration, slots int) error {
	d, err := t.server.drain(ctx, drainRun{system: t.system, jobs: jobs, concurrency: slots, sleep: takes})
	if err != nil {
		return fmt.Errorf("%s: %w", variant, err)
	}
	ideal := float64(slots) / takes.Seconds()
	return t.keep(variant, fmt.Sprintf("jobs of %s in %s slots", takes, commas(slots)), map[string]int{"jobs": jobs, "slots": slots},
		map[string]float64{"jobs_per_s": d.rate(jobs), "of_ideal": d.rate(jobs) / ideal})
}
