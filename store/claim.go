package store

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-worker/understudy"
)

// Claim takes up to request.Limit due jobs, the most urgent first. A worker
// whose lease has run out gets none. When it fails, the claim may still have
// been made: the next Reconcile returns its jobs to their queue.
func (q *Queue) Claim(ctx context.Context, request understudy.ClaimRequest) ([]*understudy.Job, error) {
	if request.Limit < 1 || len(request.Kinds) == 0 {
		return nil, nil
	}
	number := q.held.begin()
	front, began := q.fronts.of(request), time.Now()
	look := front.begin(began)
	c := newCollector(q.store.schema, request.Queue, request.Kinds, understudy.Claim{Epoch: q.epoch, Number: number})
	batch := &pgx.Batch{}
	batch.Queue(q.store.sql.get("claim"), q.epoch, number, request.Queue, look.kinds, request.Limit,
		look.above, look.last, look.runAts, look.jobIDs, look.late).Query(c.collect)
	if err := q.claims.runOrBreakOff(ctx, batch); err != nil {
		q.held.settle(number, nil)
		return nil, q.store.wrap("claim jobs", err)
	}
	front.end(began, time.Since(began), request.Limit, c.jobs)
	q.held.settle(number, c.jobs)
	return c.jobs, nil
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
	return len(outcomes) - len(w.missing()), nil
}
