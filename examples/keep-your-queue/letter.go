package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/understudy-worker/understudy/supervisor"
)

// Letter are the arguments of a job: whom to write to, and how long it takes.
type Letter struct {
	To    string        `json:"to"`
	Takes time.Duration `json:"takes"`
}

// Kind is River's name for such jobs.
func (Letter) Kind() string { return "letter" }

// lettersColumns are the columns of the table of letters that were sent: who
// sent them, in which role, and when.
const lettersColumns = ` (
	job_id    bigint NOT NULL,
	recipient text NOT NULL,
	role      text NOT NULL,
	version   text NOT NULL,
	sent_at   timestamptz NOT NULL DEFAULT clock_timestamp()
)`

func lettersTable(schema string) string { return pgx.Identifier{schema, "letters"}.Sanitize() }

// postOffice is a River worker that lives as long as one epoch.
type postOffice struct {
	river.WorkerDefaults[Letter]
	env supervisor.Env
}

func newPostOffice(env supervisor.Env) *postOffice { return &postOffice{env: env} }

// Work sends a letter: the row that says so and the job's completion are one
// transaction. It stops early when ctx ends.
func (p *postOffice) Work(ctx context.Context, job *river.Job[Letter]) error {
	select {
	case <-time.After(job.Args.Takes):
	case <-ctx.Done():
		return ctx.Err()
	}
	err := pgx.BeginFunc(ctx, p.env.Pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO "+lettersTable(p.env.Schema)+" (job_id, recipient, role, version) VALUES ($1, $2, $3, $4)",
			job.ID, job.Args.To, p.env.Role, p.env.Version)
		if err != nil {
			return err
		}
		_, err = river.JobCompleteTx[*riverpgxv5.Driver](ctx, tx, job)
		return err
	})
	if err != nil {
		return fmt.Errorf("send letter %d: %w", job.ID, err)
	}
	return nil
}
