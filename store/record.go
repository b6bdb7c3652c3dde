package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/understudy-worker/understudy"
)

// Record writes the outcomes durably, all in one transaction. What somebody
// else has locked is deferred, and an outcome that the database refuses is
// found by halving, so that neither holds up the rest. When an error is
// returned, some may have been written and all are to be sent again: those
// that were written then come back as fenced.
func (q *Queue) Record(ctx context.Context, outcomes []understudy.Outcome) (understudy.Recorded, error) {
	var done understudy.Recorded
	fit := make([]understudy.Outcome, 0, len(outcomes))
	for i := range outcomes {
		if outcomes[i].Job.Claim.Epoch != q.epoch {
			done.Fenced = append(done.Fenced, outcomes[i])
		} else if err := unfit(&outcomes[i]); err != nil {
			done.Rejected = append(done.Rejected, understudy.RejectedOutcome{Outcome: outcomes[i], Err: err})
		} else {
			fit = append(fit, outcomes[i])
		}
	}
	err := q.record(ctx, fit, &done)
	return done, q.store.wrap("record outcomes", err)
}

func (q *Queue) record(ctx context.Context, outcomes []understudy.Outcome, done *understudy.Recorded) error {
	if len(outcomes) == 0 {
		return nil
	}
	err := q.write(ctx, outcomes, done)
	if classify(err) == locked {
		err = q.writeUnlocked(ctx, outcomes, done)
	}
	switch problem := classify(err); {
	case err == nil:
		return nil
	case problem != refused || ctx.Err() != nil:
		return err
	case len(outcomes) > 1:
		middle := len(outcomes) / 2
		return errors.Join(q.record(ctx, outcomes[:middle], done), q.record(ctx, outcomes[middle:], done))
	}
	done.Rejected = append(done.Rejected, understudy.RejectedOutcome{Outcome: outcomes[0], Err: err})
	return nil
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

// write writes outcomes in one transaction and one round trip.
func (q *Queue) write(ctx context.Context, outcomes []understudy.Outcome, done *understudy.Recorded) error {
	w := newWriting(outcomes)
	emptied := q.held.emptiedBy(outcomes)
	if err := q.records.run(ctx, w.batch(q, emptied)); err != nil {
		return err
	}
	q.held.drop(outcomes, emptied)
	done.Fenced = append(done.Fenced, w.missing()...)
	return nil
}

// writeUnlocked is write for outcomes of which somebody has locked some: it
// locks the others' rows first, and defers those.
func (q *Queue) writeUnlocked(ctx context.Context, outcomes []understudy.Outcome, done *understudy.Recorded) error {
	var free, deferred []understudy.Outcome
	var emptied []int64
	var w *writing
	err := q.records.tx(ctx, func(tx pgx.Tx) (err error) {
		if free, deferred, err = q.lockFree(ctx, tx, outcomes); err != nil {
			return err
		}
		w, emptied = newWriting(free), q.held.emptiedBy(free)
		return tx.SendBatch(ctx, w.batch(q, emptied)).Close()
	})
	switch classify(err) {
	case locked: // not a row, but a whole table
		done.Deferred = append(done.Deferred, outcomes...)
		return nil
	case passing, refused:
		if err != nil {
			return err
		}
	}
	q.held.drop(free, emptied)
	done.Fenced = append(done.Fenced, w.missing()...)
	done.Deferred = append(done.Deferred, deferred...)
	return nil
}

// lockFree locks the rows of the outcomes' jobs but for those that somebody
// else has locked.
func (q *Queue) lockFree(ctx context.Context, tx pgx.Tx, outcomes []understudy.Outcome) (free, deferred []understudy.Outcome, err error) {
	ids, requeues := make([]int64, len(outcomes)), make([]int32, len(outcomes))
	for i := range outcomes {
		ids[i], requeues[i] = outcomes[i].Job.ID, int32(outcomes[i].Job.Claim.Requeues)
	}
	rows, err := tx.Query(ctx, q.store.sql.get("locked"), ids, requeues)
	if err != nil {
		return nil, nil, err
	}
	places, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, nil, err
	}
	isLocked := make([]bool, len(outcomes))
	for _, nth := range places {
		isLocked[nth-1] = true
	}
	for i, o := range outcomes {
		if isLocked[i] {
			deferred = append(deferred, o)
		} else {
			free = append(free, o)
		}
	}
	return free, deferred, nil
}

// unfit says why an outcome cannot be stored; nil where it can.
func unfit(o *understudy.Outcome) error {
	if o.Verdict < understudy.Completed || o.Verdict > understudy.Released {
		return fmt.Errorf("unknown verdict %d", o.Verdict)
	}
	if result := o.Job.Result(); o.Verdict == understudy.Completed && result != nil {
		return checkJSON("result", result)
	}
	return nil
}
