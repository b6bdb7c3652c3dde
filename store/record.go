package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/understudy-worker/understudy"
)

// maxErrorBytes bounds how much of an error's text is kept with a job.
const maxErrorBytes = 8 << 10

// Record writes the outcomes durably, all in one transaction. An outcome that
// the database refuses is found by halving, so that it holds up no other. When
// an error is returned, some may have been written and all are to be sent
// again: those that were written then come back as fenced.
func (q *Queue) Record(ctx context.Context, outcomes []understudy.Outcome) (understudy.Recorded, error) {
	var done understudy.Recorded
	err := q.record(ctx, outcomes, &done)
	return done, q.store.wrap("record outcomes", err)
}

func (q *Queue) record(ctx context.Context, outcomes []understudy.Outcome, done *understudy.Recorded) error {
	fenced, err := q.write(ctx, outcomes)
	switch problem := classify(err); {
	case err == nil:
		done.Fenced = append(done.Fenced, fenced...)
		return nil
	case problem == passing || ctx.Err() != nil:
		return err
	case len(outcomes) > 1:
		middle := len(outcomes) / 2
		return errors.Join(q.record(ctx, outcomes[:middle], done), q.record(ctx, outcomes[middle:], done))
	case problem == locked:
		done.Deferred = append(done.Deferred, outcomes...)
		return nil
	default:
		done.Rejected = append(done.Rejected, understudy.RejectedOutcome{Outcome: outcomes[0], Err: err})
		return nil
	}
}

// problem is what to do about an error.
type problem int

const (
	passing problem = iota // worth trying again as it is
	locked                 // somebody else has locked a row
	refused                // the data itself is at fault
)

func classify(err error) problem {
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) {
		return passing
	}
	switch {
	case pgErr.Code == "55P03": // lock_not_available
		return locked
	case strings.HasPrefix(pgErr.Code, "22"), strings.HasPrefix(pgErr.Code, "54"), strings.HasPrefix(pgErr.Code, "23"):
		return refused // data exception, program limit exceeded, constraint violation
	}
	return passing
}

// write records the outcomes in one transaction and returns those that nothing
// was written for, because the worker no longer holds their job.
func (q *Queue) write(ctx context.Context, outcomes []understudy.Outcome) ([]understudy.Outcome, error) {
	final, back := &outcomeColumns{}, &outcomeColumns{}
	left := q.leftAfter(outcomes)
	for i := range outcomes {
		if outcomes[i].Verdict.Final() {
			final.add(&outcomes[i])
		} else {
			back.add(&outcomes[i])
		}
	}
	var written written
	batch := &pgx.Batch{}
	place := q.options.Place
	if len(final.ids) > 0 {
		emptied := left.emptied
		if len(back.ids) > 0 {
			emptied = []int64{} // the statement that follows needs the claims, and drops them
		}
		batch.Queue(q.store.sql.get("finish"), q.epoch, final.ids, final.requeues, final.numbers, final.states, final.attempted,
			final.results, final.errors, place.Version, place.Role, emptied).QueryRow(written.scanFinal)
	}
	if len(back.ids) > 0 {
		batch.Queue(q.store.sql.get("requeue"), q.epoch, back.ids, back.requeues, back.numbers, back.states, back.delays, back.attempted,
			back.errors, place.Version, place.Role, left.emptied, wakeChannel(q.store.schema)).QueryRow(written.scanBack)
	}
	if err := q.records.run(ctx, batch); err != nil {
		return nil, err
	}
	q.apply(left)
	return written.missing(outcomes), nil
}

// remainder is how many jobs each claim has left once some are recorded.
type remainder struct {
	jobs    map[int64]int
	emptied []int64
}

// leftAfter reckons what the claims hold after the outcomes, without noting it.
func (q *Queue) leftAfter(outcomes []understudy.Outcome) remainder {
	q.mu.Lock()
	defer q.mu.Unlock()
	left := remainder{jobs: map[int64]int{}, emptied: []int64{}}
	for i := range outcomes {
		number := outcomes[i].Job.Claim.Number
		if _, seen := left.jobs[number]; !seen {
			left.jobs[number] = q.held[number]
		}
		left.jobs[number]--
		if left.jobs[number] == 0 {
			left.emptied = append(left.emptied, number)
		}
	}
	return left
}

// apply notes what leftAfter reckoned. Outcomes are recorded by one caller at
// a time, so nothing has changed the claims' counts since.
func (q *Queue) apply(left remainder) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for number, jobs := range left.jobs {
		if jobs <= 0 {
			delete(q.held, number)
		} else {
			q.held[number] = jobs
		}
	}
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
}

func (c *outcomeColumns) add(o *understudy.Outcome) {
	job := o.Job
	c.ids = append(c.ids, job.ID)
	c.requeues = append(c.requeues, int32(job.Claim.Requeues))
	c.numbers = append(c.numbers, job.Claim.Number)
	c.states = append(c.states, o.Verdict.String())
	c.delays = append(c.delays, o.Delay.Seconds())
	c.attempted = append(c.attempted, job.AttemptedAt)
	c.results = append(c.results, resultText(o))
	c.errors = append(c.errors, errorText(o.Error))
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

// errorText is an error as Postgres can store it: valid, without NUL, bounded.
func errorText(text string) *string {
	if text == "" {
		return nil
	}
	if len(text) > maxErrorBytes {
		text = text[:maxErrorBytes] + fmt.Sprintf(" … (%d bytes in all)", len(text))
	}
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
	return &text
}

// written gathers the ids that the statements touched; nil means all of them.
type written struct{ final, back []int64 }

func (w *written) scanFinal(row pgx.Row) error { return row.Scan(&w.final) }

func (w *written) scanBack(row pgx.Row) error { return row.Scan(&w.back, nil) }

// missing are the outcomes whose job was not touched. A job that its handler
// completed in a transaction of its own is expected to be gone.
func (w *written) missing(outcomes []understudy.Outcome) []understudy.Outcome {
	var missing []understudy.Outcome
	for _, o := range outcomes {
		touched := w.final
		if !o.Verdict.Final() {
			touched = w.back
		}
		if touched != nil && !slices.Contains(touched, o.Job.ID) && !o.Job.MarkedCompleted() {
			missing = append(missing, o)
		}
	}
	return missing
}
