package store

import (
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-worker/understudy"
)

// writing is one write of outcomes: what is sent, and what came of it.
type writing struct {
	outcomes    []understudy.Outcome
	final, back outcomeColumns // what finishes jobs, and what returns them to their queue
}

func newWriting(outcomes []understudy.Outcome) *writing {
	w := &writing{outcomes: outcomes}
	final := 0
	for i := range outcomes {
		if outcomes[i].Verdict.Final() {
			final++
		}
	}
	w.final.reserve(final)
	w.back.reserve(len(outcomes) - final)
	for i := range outcomes {
		if outcomes[i].Verdict.Final() {
			w.final.add(i, &outcomes[i])
		} else {
			w.back.add(i, &outcomes[i])
		}
	}
	return w
}

// batch is the statements of the write, for one transaction. The claims that
// it empties go last: the others are fenced by them.
func (w *writing) batch(q *Queue, emptied []int64) *pgx.Batch {
	batch, place, sql := &pgx.Batch{}, q.options.Place, q.store.sql
	if c := &w.final; len(c.ids) > 0 {
		batch.Queue(sql.get("finish"), q.epoch, c.ids, unlessAll(0, c.requeues), c.numbers, c.attempted,
			unlessAll(completed, c.states), unlessAll(nil, c.results), unlessAll(nil, c.errors), place.Version, place.Role).
			QueryRow(func(row pgx.Row) error { return row.Scan(&c.written) })
	}
	if c := &w.back; len(c.ids) > 0 {
		batch.Queue(sql.get("requeue"), q.epoch, c.ids, c.requeues, c.numbers, c.states, c.delays, c.attempted,
			c.errors, place.Version, place.Role, wakeChannel(q.store.schema)).
			QueryRow(func(row pgx.Row) error { return row.Scan(&c.written, nil) })
	}
	if len(emptied) > 0 {
		batch.Queue(sql.get("forget_claims"), q.epoch, emptied)
	}
	return batch
}

// missing are the outcomes that were not written, because the worker no longer
// holds their job. A job that its handler completed in a transaction of its
// own is expected to be gone.
func (w *writing) missing() []understudy.Outcome {
	var missing []understudy.Outcome
	for _, c := range []*outcomeColumns{&w.final, &w.back} {
		for _, i := range c.missing() {
			if !w.outcomes[i].Job.MarkedCompleted() {
				missing = append(missing, w.outcomes[i])
			}
		}
	}
	return missing
}

// completed is the state of jobs that finish as they should.
var completed = understudy.Completed.String()

// unlessAll is the column, or an empty one where it has nothing but the usual.
func unlessAll[T comparable](usual T, column []T) []T {
	for _, value := range column {
		if value != usual {
			return column
		}
	}
	return []T{}
}

// outcomeColumns are outcomes as the arrays that the statements take.
type outcomeColumns struct {
	ids       []int64
	requeues  []int32
	numbers   []int64
	states    []string
	delays    []float64
	attempted []time.Time
	results   []*string
	errors    []*string

	places  []int   // of the outcomes
	written []int64 // of the columns' rows, from 1: those that were written; nil for all
}

func (c *outcomeColumns) reserve(n int) {
	c.ids, c.requeues, c.numbers = make([]int64, 0, n), make([]int32, 0, n), make([]int64, 0, n)
	c.states, c.delays, c.attempted = make([]string, 0, n), make([]float64, 0, n), make([]time.Time, 0, n)
	c.results, c.errors, c.places = make([]*string, 0, n), make([]*string, 0, n), make([]int, 0, n)
}

func (c *outcomeColumns) add(place int, o *understudy.Outcome) {
	job := o.Job
	c.ids = append(c.ids, job.ID)
	c.requeues = append(c.requeues, int32(job.Claim.Requeues))
	c.numbers = append(c.numbers, job.Claim.Number)
	c.states = append(c.states, o.Verdict.String())
	c.delays = append(c.delays, max(o.Delay, 0).Seconds())
	c.attempted = append(c.attempted, job.AttemptedAt)
	c.results = append(c.results, resultText(o))
	c.errors = append(c.errors, errorText(o.Error))
	c.places = append(c.places, place)
}

// missing are the places of the outcomes that were not written.
func (c *outcomeColumns) missing() []int {
	if c.written == nil {
		return nil
	}
	written := make([]bool, len(c.places))
	for _, nth := range c.written {
		written[nth-1] = true
	}
	var missing []int
	for i, place := range c.places {
		if !written[i] {
			missing = append(missing, place)
		}
	}
	return missing
}

// resultText is the result of a job that completed.
func resultText(o *understudy.Outcome) *string {
	result := o.Job.Result()
	if o.Verdict != understudy.Completed || result == nil {
		return nil
	}
	text := string(result)
	return &text
}

// errorText is an error as Postgres can store it; nil for none.
func errorText(text string) *string {
	if text == "" {
		return nil
	}
	text = understudy.ErrorText(text)
	return &text
}
