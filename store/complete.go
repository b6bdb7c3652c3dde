package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-worker/understudy"
)

// CompleteTx completes the job in the caller's transaction, so that what the
// handler wrote there and the job's completion are one: both happen, once for
// each completion, or neither. Call it last, commit, and return nil from the
// handler. It returns understudy.ErrFenced when the worker no longer holds the
// job: roll back.
//
// A result that cannot be stored is left out, and the job's warning says why.
// After any error the transaction is to be rolled back: nothing is completed.
//
// The transaction must be on the server and database of the job, which the
// pool of the handler's epoch is. Where row-level security hides the job from its
// login, the error says so: the worker may hold it still.
func CompleteTx(ctx context.Context, tx pgx.Tx, job *understudy.Job) error {
	sql, err := statementsFor(job.Schema)
	if err != nil {
		return err
	}
	completed, err := completeInTx(ctx, tx, sql.get("complete_in_tx"), job)
	if err == nil && !completed {
		if err = seesJob(ctx, tx, sql, job.Schema); err == nil {
			err = understudy.ErrFenced
		}
	}
	if err != nil {
		return fmt.Errorf("complete job %d in schema %q: %w", job.ID, job.Schema, err)
	}
	job.MarkCompleted()
	return nil
}

// completeInTx completes the job with its result, or where that cannot be
// stored, without.
func completeInTx(ctx context.Context, tx pgx.Tx, sql string, job *understudy.Job) (bool, error) {
	o := understudy.Outcome{Job: job, Verdict: understudy.Completed}
	if o.Warning = warning(&o); o.Warning == "" && job.Result() != nil {
		completed, err := completeWithResult(ctx, tx, sql, &o)
		if classify(err) != refused {
			return completed, err
		}
		o.Warning = asciiText(refusedResult(err))
	}
	if o.Warning != "" {
		job.LeaveResult(o.Warning)
	}
	var completed int
	err := tx.QueryRow(ctx, sql, completion(&o)...).Scan(&completed)
	return completed > 0, err
}

// completeWithResult completes the job inside a savepoint, which takes one round
// trip. Where the server refuses that, the transaction is as it was before.
func completeWithResult(ctx context.Context, tx pgx.Tx, sql string, o *understudy.Outcome) (bool, error) {
	var completed int
	batch := &pgx.Batch{}
	batch.Queue("SAVEPOINT understudy_complete")
	batch.Queue(sql, completion(o)...).QueryRow(func(row pgx.Row) error { return row.Scan(&completed) })
	batch.Queue("RELEASE SAVEPOINT understudy_complete")
	err := tx.SendBatch(ctx, batch).Close()
	if classify(err) == refused {
		if _, rollbackErr := tx.Exec(ctx, "ROLLBACK TO SAVEPOINT understudy_complete"); rollbackErr != nil {
			return false, errors.Join(rollbackErr, err)
		}
	}
	return completed > 0, err
}

// completion are the arguments of complete_in_tx.
func completion(o *understudy.Outcome) []any {
	job := o.Job
	return []any{job.ID, job.Claim.Requeues, job.Claim.Epoch, job.Claim.Number, job.AttemptedAt, resultText(o), errorText(o.Warning)}
}

// seesJob says whether row-level security may hide the job from the transaction's login.
func seesJob(ctx context.Context, tx pgx.Tx, sql statements, schema string) error {
	hidden, err := hiddenTables(ctx, tx, sql, schema)
	if err != nil {
		return err
	}
	hidden = slices.DeleteFunc(hidden, func(t hiddenTable) bool { return !t.own || t.name != "open_jobs" && t.name != "claims" })
	if len(hidden) > 0 {
		return hiddenError(schema, hidden)
	}
	return nil
}
