package main

import "context"

// drainMeasure works jobs that wait, as fast as a worker can; and, of the
// smaller number, says what a job costs.
var drainMeasure = measure{key: "drain", run: func(ctx context.Context, t *trial) error {
	if err := t.drainOf(ctx, variantSmall, t.sizes.drain); err != nil || t.system.slow {
		return err
	}
	return t.drainOf(ctx, variantLarge, t.sizes.largeDrain)
}}

// The variants of the drain. The first one is looked up for costs and the plot.
const (
	variantSmall = "small"
	variantLarge = "large"
)

func (t *trial) drainOf(ctx context.Context, variant string, waiting int) error {
	jobs := t.drainJobs(waiting)
	d, err := t.server.drain(ctx, drainRun{system: t.system, jobs: jobs, concurrency: t.concurrency()})
	if err != nil {
		return err
	}
	return t.keep(variant, commas(waiting)+" waiting jobs", map[string]int{"jobs": jobs, "concurrency": t.concurrency()}, d.figures(jobs))
}

// figures are the rate and what each job cost.
func (d drained) figures(jobs int) map[string]float64 {
	n := float64(jobs)
	figures := map[string]float64{
		"jobs_per_s":            d.rate(jobs),
		"connections":           float64(d.seen.connections),
		"wal_enqueue_per_job":   float64(d.walEnqueue) / n,
		"wal_work_per_job":      float64(d.walWork) / n,
		"dead_rows_per_job":     float64(d.tables.dead) / n,
		"table_bytes_per_job":   float64(d.tables.table) / n,
		"index_bytes_per_job":   float64(d.tables.index) / n,
		"worker_ms_per_1k_jobs": d.workerCPU.Seconds() * 1e6 / n,
	}
	if d.serverCPU > 0 {
		figures["server_ms_per_1k_jobs"] = d.serverCPU.Seconds() * 1e6 / n
	}
	return figures
}
