package store

import (
	"cmp"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-worker/understudy"
)

// finals are the outcomes of a write that finish their jobs, as the statement
// "finish" takes them: in the order of the jobs' ids, and of a run of jobs with
// ids in a row, and alike in all but when they started, only the ends. The
// server goes through a run as through one piece of the table.
type finals struct {
	places    []int       // of the outcomes, in the order of their jobs' ids
	attempted []time.Time // when each started
	runs      []run
	written   []int64 // of the places, from 1: those that were written; nil for all
}

// run is a run of jobs.
type run struct {
	first, last int64 // ids
	place       int   // of the first, from 1
	claim       understudy.Claim
	state       string
	result      *string
	problem     *string // see problemOf
}

// problemOf is the error of an outcome, or its warning: a job that completed
// has no error, and only such a job has a warning.
func problemOf(o *understudy.Outcome) string {
	if o.Verdict == understudy.Completed {
		return o.Warning
	}
	return o.Error
}

// newFinals takes those outcomes whose places are given.
func newFinals(outcomes []understudy.Outcome, places []int) finals {
	slices.SortFunc(places, func(a, b int) int { return cmp.Compare(outcomes[a].Job.ID, outcomes[b].Job.ID) })
	f := finals{places: places, attempted: make([]time.Time, 0, len(places))}
	for i, place := range places {
		o := &outcomes[place]
		f.attempted = append(f.attempted, o.Job.AttemptedAt)
		f.add(run{
			first: o.Job.ID, last: o.Job.ID, place: i + 1, claim: o.Job.Claim,
			state: o.Verdict.String(), result: resultText(o), problem: errorText(problemOf(o)),
		})
	}
	return f
}

// add makes the last run longer, or adds another.
func (f *finals) add(next run) {
	if n := len(f.runs); n > 0 && f.runs[n-1].goesOnWith(next) {
		f.runs[n-1].last = next.last
		return
	}
	f.runs = append(f.runs, next)
}

// goesOnWith says whether the next job can be one of the run.
func (r *run) goesOnWith(next run) bool {
	return next.first == r.last+1 && next.claim == r.claim && next.state == r.state &&
		r.result == nil && next.result == nil && r.problem == nil && next.problem == nil
}

// queue adds the statement to the batch.
func (f *finals) queue(batch *pgx.Batch, sql, epoch string, place understudy.Place) {
	if len(f.runs) == 0 {
		return
	}
	batch.Queue(sql, epoch,
		columnOf(f.runs, func(r *run) int64 { return r.first }),
		columnOf(f.runs, func(r *run) int64 { return r.last }),
		columnOf(f.runs, func(r *run) int32 { return int32(r.place) }),
		columnOf(f.runs, func(r *run) int64 { return r.claim.Number }),
		columnOf(f.runs, func(r *run) int32 { return int32(r.claim.Requeues) }),
		columnOf(f.runs, func(r *run) string { return r.state }),
		columnOf(f.runs, func(r *run) *string { return r.result }),
		columnOf(f.runs, func(r *run) *string { return r.problem }),
		f.attempted, place.Version, place.Role,
	).QueryRow(func(row pgx.Row) error { return row.Scan(&f.written) })
}

// missing are the places of the outcomes that were not written.
func (f *finals) missing() []int { return unwritten(f.places, f.written) }

// columnOf is one column of rows.
func columnOf[R, C any](rows []R, column func(*R) C) []C {
	all := make([]C, len(rows))
	for i := range rows {
		all[i] = column(&rows[i])
	}
	return all
}

// unwritten are the places that are not among the written ones, which count
// from 1; none where those are nil.
func unwritten(places []int, written []int64) []int {
	if written == nil {
		return nil
	}
	was := make([]bool, len(places))
	for _, nth := range written {
		was[nth-1] = true
	}
	var missing []int
	for i, place := range places {
		if !was[i] {
			missing = append(missing, place)
		}
	}
	return missing
}
