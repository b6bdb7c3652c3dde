package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/store"
	"github.com/understudy-worker/understudy/supervisor"
)

// The ledger is where handlers write what they do, so that a test need not
// believe the jobs' own rows.
const ledgerTables = `
CREATE TABLE ledger (
	n          bigint GENERATED ALWAYS AS IDENTITY,
	pod        text NOT NULL,
	schema     text NOT NULL,
	job_id     bigint NOT NULL,
	attempt    int NOT NULL,
	epoch      uuid NOT NULL,
	claimed_at timestamptz NOT NULL,
	started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	ended_at   timestamptz
);
CREATE TABLE effects (schema text NOT NULL, job_id bigint NOT NULL, pod text NOT NULL);
CREATE TABLE roles (
	pod     text NOT NULL,
	role    text NOT NULL,
	from_at timestamptz NOT NULL,
	to_at   timestamptz
);`

// Environment of the program under test.
const (
	ledgerVariable = "UNDERSTUDY_TEST_LEDGER" // schema of the ledger
	podVariable    = "UNDERSTUDY_TEST_POD"    // name of the pod
)

// ledgerHandlers are the kinds of job that the tests work.
func ledgerHandlers(_ context.Context, env supervisor.Env) (understudy.Handlers, error) {
	l := ledger{env: env, schema: pgx.Identifier{os.Getenv(ledgerVariable)}.Sanitize(), pod: os.Getenv(podVariable)}
	return understudy.Handlers{
		"note":     l.noted(func(context.Context, *understudy.Job, time.Duration) error { return nil }),
		"slow":     l.noted(slow),
		"stubborn": l.noted(stubborn),
		"cut":      l.noted(l.cut),
		"effect":   l.noted(l.effect),
		"hold":     l.noted(l.hold),
		"wait":     understudy.HandlerFunc(waits),
		"met":      understudy.HandlerFunc(l.meets),
	}, nil
}

type ledger struct {
	env         supervisor.Env
	schema, pod string
}

// noted writes the beginning and the end of each attempt into the ledger.
func (l ledger) noted(work func(ctx context.Context, job *understudy.Job, d time.Duration) error) understudy.Handler {
	return understudy.HandlerFunc(func(ctx context.Context, job *understudy.Job) error {
		var args struct{ MS int }
		if err := json.Unmarshal(job.Args, &args); err != nil {
			return understudy.Discard(err)
		}
		var n int64
		// A note is written whatever becomes of the attempt.
		noting := context.WithoutCancel(ctx)
		err := l.env.Pool.QueryRow(noting, "INSERT INTO "+l.schema+`.ledger (pod, schema, job_id, attempt, epoch, claimed_at)
			VALUES ($1, $2, $3, $4, $5::uuid, $6) RETURNING n`, l.pod, job.Schema, job.ID, job.Attempt, job.Claim.Epoch, job.AttemptedAt).Scan(&n)
		if err != nil {
			return err
		}
		workErr := work(ctx, job, time.Duration(args.MS)*time.Millisecond)
		_, err = l.env.Pool.Exec(noting, "UPDATE "+l.schema+".ledger SET ended_at = clock_timestamp() WHERE n = $1", n)
		if workErr != nil {
			return workErr
		}
		return err
	})
}

func slow(ctx context.Context, _ *understudy.Job, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// cut works until it is cut short, and is done at once when it runs again.
func (l ledger) cut(ctx context.Context, job *understudy.Job, _ time.Duration) error {
	var again bool
	err := l.env.Pool.QueryRow(ctx, "SELECT count(*) > 1 FROM "+l.schema+".ledger WHERE schema = $1 AND job_id = $2", job.Schema, job.ID).Scan(&again)
	if err != nil || again {
		return err
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

// stubborn does not listen.
func stubborn(_ context.Context, _ *understudy.Job, d time.Duration) error {
	<-time.After(d)
	return nil
}

// effect makes its effect and its completion one transaction.
func (l ledger) effect(ctx context.Context, job *understudy.Job, d time.Duration) error {
	return pgx.BeginFunc(ctx, l.env.Pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "INSERT INTO "+l.schema+".effects VALUES ($1, $2, $3)", job.Schema, job.ID, l.pod); err != nil {
			return err
		}
		if err := slow(ctx, job, d); err != nil {
			return err
		}
		return store.CompleteTx(ctx, tx, job)
	})
}

// hold keeps a connection of the pool for as long as it works.
func (l ledger) hold(ctx context.Context, _ *understudy.Job, d time.Duration) error {
	_, err := l.env.Pool.Exec(ctx, "SELECT pg_sleep($1)", d.Seconds())
	return err
}

// waits works until there is a file.
func waits(ctx context.Context, job *understudy.Job) error {
	return untilThere(ctx, job, func() error { return nil })
}

// untilThere calls do again and again until the file is there that the job names.
func untilThere(ctx context.Context, job *understudy.Job, do func() error) error {
	var args struct{ Until string }
	if err := json.Unmarshal(job.Args, &args); err != nil {
		return understudy.Discard(err)
	}
	for {
		if _, err := os.Stat(args.Until); err == nil {
			return nil
		}
		if err := do(); err != nil {
			return err
		}
		if err := slow(ctx, job, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

// meets writes until there is a file, and fails when it meets a server that only
// reads, with an error that nothing can be told from but its text.
func (l ledger) meets(ctx context.Context, job *understudy.Job) error {
	return untilThere(ctx, job, func() error {
		_, err := l.env.Pool.Exec(ctx, "INSERT INTO "+l.schema+".effects VALUES ($1, $2, $3)", job.Schema, job.ID, l.pod)
		if err != nil && (strings.Contains(err.Error(), "only reads") || strings.Contains(err.Error(), "read-only")) {
			return errors.New("effect: " + err.Error())
		}
		return nil
	})
}
