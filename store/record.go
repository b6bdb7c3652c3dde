package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/understudy-worker/understudy"
)

// Record writes the outcomes durably, in one transaction where they are not
// huge. What somebody else has locked is deferred, and an outcome that the
// database refuses is found by halving, so that neither holds up the rest. A
// completed job whose result cannot be stored is completed without it. When an
// error is returned, some may have been written and all are to be sent again:
// those that were written then come back as fenced. Without any, it
// says whether some could be sent.
func (q *Queue) Record(ctx context.Context, outcomes []understudy.Outcome) (understudy.Recorded, error) {
	var done understudy.Recorded
	if len(outcomes) == 0 {
		return done, q.store.wrap("record outcomes", q.records.connect(ctx))
	}
	fit := make([]understudy.Outcome, 0, len(outcomes))
	for i := range outcomes {
		o := outcomes[i]
		switch {
		case o.Job.Claim.Epoch != q.epoch:
			done.Fenced = append(done.Fenced, o)
		case o.Verdict < understudy.Completed || o.Verdict > understudy.Released:
			err := fmt.Errorf("unknown verdict %d", o.Verdict)
			done.Rejected = append(done.Rejected, understudy.RejectedOutcome{Outcome: o, Err: err})
		default:
			o.Warning = warning(&o)
			fit = append(fit, o)
		}
	}
	for len(fit) > 0 {
		n := sendable(fit)
		if err := q.record(ctx, fit[:n], &done); err != nil {
			return done, q.store.wrap("record outcomes", err)
		}
		fit = fit[n:]
	}
	return done, nil
}

// sendable is how many of the outcomes to send at once, by the bytes that they have.
func sendable(outcomes []understudy.Outcome) int {
	bytes := 0
	for i := range outcomes {
		o := &outcomes[i]
		if bytes += len(o.Job.Result()) + len(o.Error); bytes > chunkBytes && i > 0 {
			return i
		}
	}
	return len(outcomes)
}

func (q *Queue) record(ctx context.Context, outcomes []understudy.Outcome, done *understudy.Recorded) error {
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
	if less, ok := withLess(outcomes[0], err); ok {
		return q.record(ctx, []understudy.Outcome{less}, done)
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
	case slices.Contains(refusing, pgErr.Code[:min(2, len(pgErr.Code))]), pgErr.Code == "XX001": // data_corrupted, in a row
		return refused
	}
	return passing
}

// refusing are the classes of SQLSTATEs that the data itself causes, or what a
// trigger or a constraint says of it.
var refusing = []string{
	"21", // cardinality violation
	"22", // data exception
	"23", // integrity constraint violation
	"38", // external routine exception
	"39", // external routine invocation exception
	"54", // program limit exceeded
	"P0", // PL/pgSQL error
}

// write writes outcomes in one transaction and one round trip.
func (q *Queue) write(ctx context.Context, outcomes []understudy.Outcome, done *understudy.Recorded) error {
	w := newWriting(outcomes)
	emptied := q.held.emptiedBy(outcomes)
	if err := q.records.run(ctx, w.batch(q, emptied)); err != nil {
		return err
	}
	q.held.drop(outcomes, emptied)
	w.tell(done)
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
	w.tell(done)
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

// warning is why a completed job's result cannot be stored; empty where it can,
// as far as one sees without asking the server.
func warning(o *understudy.Outcome) string {
	if o.Verdict != understudy.Completed {
		return ""
	}
	if known := cmp.Or(o.Warning, o.Job.Warning()); known != "" || o.Job.Result() == nil {
		return known
	}
	if err := checkJSON("result", o.Job.Result()); err != nil {
		return err.Error()
	}
	return ""
}

// withLess is an outcome that the server refused without what it may have
// refused; false where there is nothing of that kind in it.
func withLess(o understudy.Outcome, err error) (understudy.Outcome, bool) {
	if o.Verdict == understudy.Completed && o.Warning == "" && o.Job.Result() != nil {
		o.Warning = asciiText(refusedResult(err))
		return o, true
	}
	// What the database's encoding lacks.
	changed := !isASCII(o.Error) || !isASCII(o.Warning)
	o.Error, o.Warning = asciiText(o.Error), asciiText(o.Warning)
	return o, changed
}

// refusedResult is the warning of a result that the server refused.
func refusedResult(err error) string { return fmt.Sprintf("result cannot be stored: %v", err) }
