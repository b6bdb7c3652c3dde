package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/store"
)

// retryPause is how long a job that failed on purpose waits for its next attempt.
const retryPause = 100 * time.Millisecond

// slow takes its time, and stops when it is told to.
func slow(ctx context.Context, _ *understudy.Job, a args) error {
	timer := time.NewTimer(a.takes())
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// stubborn takes its time and does not listen.
func stubborn(_ context.Context, _ *understudy.Job, a args) error {
	<-time.After(a.takes())
	return nil
}

// flaky fails at its first attempts.
func flaky(ctx context.Context, job *understudy.Job, a args) error {
	if err := slow(ctx, job, a); err != nil {
		return err
	}
	if job.Attempt <= a.Times {
		return understudy.RetryAfter(retryPause, fmt.Errorf("attempt %d of %d fails on purpose", job.Attempt, a.Times))
	}
	return nil
}

// hopeless gives its job up.
func hopeless(context.Context, *understudy.Job, args) error {
	return understudy.Discard(errors.New("given up on purpose"))
}

// sleepy asks for a little more time until its job is old enough.
func sleepy(_ context.Context, job *understudy.Job, a args) error {
	if left := a.takes() - time.Since(job.CreatedAt); left > 0 {
		return understudy.Snooze(min(left, retryPause))
	}
	return nil
}

// effects are the kinds that use the database.
type effects struct {
	pool    *pgxpool.Pool
	pod     string
	process int
}

// make makes an effect and completes its job in one transaction.
func (e effects) make(ctx context.Context, job *understudy.Job, a args) error {
	return soon(pgx.BeginFunc(ctx, e.pool, func(tx pgx.Tx) error {
		table := pgx.Identifier{job.Schema, "effects"}.Sanitize()
		_, err := tx.Exec(ctx, "INSERT INTO "+table+" (job_id, pod, process) VALUES ($1, $2, $3)", job.ID, e.pod, e.process)
		if err != nil {
			return err
		}
		if err := slow(ctx, job, a); err != nil {
			return err
		}
		return store.CompleteTx(ctx, tx, job)
	}))
}

// hold keeps a connection of the pool for as long as it works.
func (e effects) hold(ctx context.Context, _ *understudy.Job, a args) error {
	_, err := e.pool.Exec(ctx, "SELECT pg_sleep($1)", a.takes().Seconds())
	return soon(err)
}

// soon asks for another attempt before long: the usual backoff grows longer
// than tests wait, while servers break all the time.
func soon(err error) error {
	if err == nil {
		return nil
	}
	return understudy.RetryAfter(5*retryPause, err)
}
