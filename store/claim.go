package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-worker/understudy"
)

// Claim takes up to request.Limit due jobs, the most urgent first, and says
// whether there may be more. Jobs that another worker is about to claim are
// passed over, and so are those that share a row with them: then there are more,
// though fewer came than were asked for, or none. A worker whose lease has run
// out gets none. When it fails, the claim may still have been made: the next
// Reconcile returns its jobs to their queue.
func (q *Queue) Claim(ctx context.Context, request understudy.ClaimRequest) (jobs []*understudy.Job, more bool, err error) {
	if request.Limit < 1 || len(request.Kinds) == 0 {
		return nil, false, nil
	}
	front := q.fronts.of(request)
	limit, bytes := front.within(request), 0
	for short := true; short && len(jobs) < limit; {
		look := front.begin(time.Now(), limit-len(jobs))
		found, err := q.claim(ctx, request, look, request.Bytes-bytes)
		var over *overBudget
		if errors.As(err, &over) { // the same again, but no more than fit
			limit = len(jobs) + over.fit
			front.weigh(over.fit+1, over.bytes)
			if over.claimed {
				if _, err := q.Reconcile(ctx); err != nil { // the next one does
					return jobs, true, nil
				}
			}
			continue
		}
		if err != nil && len(jobs) == 0 {
			return nil, false, q.store.wrap("claim jobs", err)
		}
		if err != nil { // the next claim will say what is wrong
			return jobs, true, nil
		}
		front.end(look, found)
		front.weigh(len(found.jobs), found.bytes)
		jobs, more, short = append(jobs, found.jobs...), found.more, found.rows >= look.rows
		if bytes += found.bytes; request.Bytes > 0 && bytes >= request.Bytes {
			return jobs, more || len(jobs) >= limit, nil
		}
	}
	return jobs, more, nil
}

// overBudget is a claim that was broken off because its jobs had more bytes than
// were asked for.
type overBudget struct {
	fit     int  // how many of them would not have
	bytes   int  // of one more
	claimed bool // it came too late: the jobs are to go back
}

func (o *overBudget) Error() string {
	return fmt.Sprintf("the first %d jobs have %d bytes: more than there is room for", o.fit+1, o.bytes)
}

// findings are what a look at a queue brought.
type findings struct {
	jobs  []*understudy.Job // claimed, in the order of claims
	bytes int               // of their arguments and metadata
	rows  int               // of ready that held them
	more  bool              // there are more where it looked
	took  time.Duration
}

// claim takes what one look brings. Where that has more bytes than the budget, it
// is an overBudget and takes nothing: the server writes the jobs as this reads
// them, and stops when it is asked to. If all were on their way by then, they are
// claimed, and are to go back as those of a claim whose reply was lost.
func (q *Queue) claim(ctx context.Context, request understudy.ClaimRequest, look *look, budget int) (findings, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	number := q.held.begin()
	c := newCollector(q.store.schema, request.Queue, request.Kinds, understudy.Claim{Epoch: q.epoch, Number: number})
	if c.stop = stop; request.Bytes > 0 {
		c.budget = max(budget, 1)
	}
	var more bool
	batch := &pgx.Batch{}
	batch.Queue(q.store.sql.get("claim"), q.epoch, number, request.Queue, look.rows, look.kinds, look.limit,
		look.above, look.last, look.runAts, look.jobIDs, look.late).Query(c.collect)
	batch.Queue(q.store.sql.get("more_ready"), q.epoch, number, look.limit, request.Queue, look.kinds,
		look.above, look.last, look.runAts, look.jobIDs, look.late).
		QueryRow(func(row pgx.Row) error { return row.Scan(&more) })
	err := q.claims.runOrBreakOff(ctx, batch)
	if c.over {
		q.held.settle(number, nil)
		return findings{}, &overBudget{fit: len(c.jobs) - 1, bytes: c.bytes, claimed: err == nil}
	}
	if err != nil {
		q.held.settle(number, nil)
		return findings{}, err
	}
	q.held.settle(number, c.jobs)
	return findings{jobs: c.jobs, bytes: c.bytes, rows: c.rows, more: more, took: time.Since(look.began)}, nil
}

// Reconcile releases the jobs of claims whose reply was lost, and lists the
// jobs that somebody wants cancelled.
func (q *Queue) Reconcile(ctx context.Context) (understudy.Reconciled, error) {
	var found understudy.Reconciled
	var lost bool
	numbers, next := q.held.known()
	batch := &pgx.Batch{}
	batch.Queue(q.store.sql.get("has_lost_claims"), q.epoch, numbers, next).
		QueryRow(func(row pgx.Row) error { return row.Scan(&lost) })
	batch.Queue(q.store.sql.get("cancel_requested")).Query(func(rows pgx.Rows) (err error) {
		found.CancelRequested, err = pgx.CollectRows(rows, pgx.RowTo[int64])
		return err
	})
	err := q.leases.run(ctx, batch)
	if err == nil && lost {
		err = q.leases.tx(ctx, func(tx pgx.Tx) (err error) {
			// End waits for the epoch's row, and so for this, even where the reply to
			// it is not waited for: it would pass over the jobs that this has locked.
			if err := q.lock(ctx, tx); err != nil {
				return err
			}
			found.Reclaimed, err = q.release(ctx, tx, numbers, next)
			return err
		})
	}
	if errors.Is(err, pgx.ErrNoRows) { // the epoch is over: its jobs are for others
		err = nil
	}
	return found, q.store.wrap("reconcile claims", err)
}

// release returns the jobs of the epoch's claims below next to their queues,
// uncharged, but for the claims in known. It passes over jobs that somebody
// has locked, and returns how many it released.
func (q *Queue) release(ctx context.Context, tx pgx.Tx, known []int64, next int64) (int, error) {
	if known == nil {
		known = []int64{} // a NULL is unlike every number
	}
	rows, err := tx.Query(ctx, q.store.sql.get("lost_jobs"), q.epoch, known, next)
	if err != nil {
		return 0, err
	}
	outcomes, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (understudy.Outcome, error) {
		job := &understudy.Job{}
		err := row.Scan(&job.ID, &job.Claim.Requeues, &job.Claim.Number, &job.AttemptedAt)
		return understudy.Outcome{Job: job, Verdict: understudy.Released}, err
	})
	if err != nil {
		return 0, err
	}
	w := newWriting(outcomes)
	if err := tx.SendBatch(ctx, w.batch(q, nil)).Close(); err != nil {
		return 0, err
	}
	if _, err := tx.Exec(ctx, q.store.sql.get("forget_lost_claims"), q.epoch, known, next); err != nil {
		return 0, err
	}
	return len(outcomes) - len(w.back.missing()), nil
}
