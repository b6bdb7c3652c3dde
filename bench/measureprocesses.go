package main

import (
	"context"
	"fmt"
	"time"
)

// processesMeasure drains with several worker processes at once.
var processesMeasure = measure{
	key:     "processes",
	applies: only(understudyKey, riverKey),
	run: func(ctx context.Context, t *trial) error {
		jobs := t.sizes.drain
		if t.system.key == understudyKey {
			jobs = t.sizes.processesDrain
		}
		for _, processes := range t.sizes.processes {
			d, err := t.server.drain(ctx, drainRun{
				system: t.system, jobs: jobs, concurrency: t.concurrency(), processes: processes, watch: contentionEvery,
			})
			if err != nil {
				return fmt.Errorf("%d processes: %w", processes, err)
			}
			err = t.keep(fmt.Sprint(processes), processesLabel(processes), map[string]int{"jobs": jobs, "processes": processes},
				map[string]float64{
					"jobs_per_s": d.rate(jobs), "locked_share": d.seen.lockedShare(), "connections": float64(d.seen.connections),
				})
			if err != nil {
				return err
			}
		}
		return nil
	},
}

func processesLabel(processes int) string {
	if processes == 1 {
		return "1 worker process"
	}
	return fmt.Sprintf("%d worker processes", processes)
}

// contentionEvery is how often it is looked whether a connection waits for a lock.
const contentionEvery = 20 * time.Millisecond
