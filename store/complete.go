package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/understudy-worker/understudy"
)

// CompleteTx completes the job in the caller's transaction, so that what the
// handler wrote there and the job's completion are one: both happen, once, or
// neither. Call it last, commit, and return nil from the handler. It returns
// understudy.ErrFenced when the worker no longer holds the job: roll back.
//
// The transaction must be on the server and database of the job, which the
// pool of the handler's epoch is.
func CompleteTx(ctx context.Context, tx pgx.Tx, job *understudy.Job) error {
	sql, err := statementsFor(job.Schema)
	if err != nil {
		return err
	}
	var result *string
	if r := job.Result(); r != nil {
		if err := checkJSON("result", r); err != nil {
			return fmt.Errorf("complete job %d in schema %q: %w", job.ID, job.Schema, err)
		}
		text := string(r)
		result = &text
	}
	var completed int
	err = tx.QueryRow(ctx, sql.get("complete_in_tx"), job.ID, job.Claim.Requeues, job.Claim.Epoch, job.Claim.Number,
		job.AttemptedAt, result).Scan(&completed)
	if err != nil {
		return fmt.Errorf("complete job %d in schema %q: %w", job.ID, job.Schema, err)
	}
	if completed == 0 {
		return fmt.Errorf("complete job %d in schema %q: %w", job.ID, job.Schema, understudy.ErrFenced)
	}
	job.MarkCompleted()
	return nil
}
