package main

import (
	"context"
	"fmt"
)

// historyMeasure drains beside many finished jobs, and beside many that are
// not due yet.
var historyMeasure = measure{
	key: "history",
	applies: func(o options, s system) bool {
		return s.key == understudyKey || o.peersToo && (s.finishedRows != nil || s.scheduledRows != nil)
	},
	run: func(ctx context.Context, t *trial) error {
		base, err := t.beside(ctx, variantBase, rowsBeside{}, 0)
		if err != nil {
			return err
		}
		if t.system.finishedRows != nil {
			if _, err := t.beside(ctx, variantFinished, rowsBeside{t.sizes.finished, "finished", t.system.finishedRows, true}, base); err != nil {
				return err
			}
		}
		if t.system.scheduledRows != nil {
			_, err = t.beside(ctx, variantScheduled, rowsBeside{t.sizes.scheduled, "scheduled", t.system.scheduledRows, false}, base)
		}
		return err
	},
}

// The variants of the history, and of the held snapshot.
const (
	variantBase      = "base"
	variantFinished  = "finished"
	variantScheduled = "scheduled"
	variantHeld      = "held"
)

// rowsBeside are rows that are written before the jobs come.
type rowsBeside struct {
	number   int
	what     string
	write    writer // nil for none
	finished bool   // whether they count as completed jobs
}

func (r rowsBeside) label(jobs int) string {
	if r.write == nil {
		return commas(jobs) + " waiting jobs alone"
	}
	return "beside " + commas(r.number) + " " + r.what
}

// beside drains beside rows, and compares with the drain without.
func (t *trial) beside(ctx context.Context, variant string, rows rowsBeside, base float64) (rate float64, err error) {
	jobs := t.drainJobs(t.sizes.drain)
	run := drainRun{system: t.system, jobs: jobs, concurrency: t.concurrency()}
	if rows.write != nil {
		run.prepare = func(ctx context.Context, d *database) (int, error) {
			if err := rows.write(ctx, d.pool, rows.number); err != nil {
				return 0, fmt.Errorf("write %d rows of %s: %w", rows.number, t.system.title, err)
			}
			if rows.finished {
				return rows.number, nil
			}
			return 0, nil
		}
	}
	d, err := t.server.drain(ctx, run)
	if err != nil {
		return 0, err
	}
	rate = d.rate(jobs)
	figures := map[string]float64{"jobs_per_s": rate}
	if base > 0 {
		figures["to_base"] = rate / base
	}
	return rate, t.keep(variant, rows.label(jobs), map[string]int{"jobs": jobs, "rows": rows.number}, figures)
}
