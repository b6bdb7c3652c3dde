package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/understudy-worker/understudy/reload"
	"github.com/understudy-worker/understudy/supervisor"
)

// queue is River, for one epoch after another.
type queue struct {
	config reload.Config
	log    *slog.Logger
}

// serve runs a River client for the length of one epoch: it is made of the
// epoch's pool and schema, and has stopped when serve returns. When ctx ends it
// fetches no more; jobs that run on past the drain timeout have their contexts
// cancelled, and River makes them available again without charging the attempt.
//
// A job that ignores that keeps serve from returning; the supervisor then ends
// the process rather than let it work two targets at a time.
func (q *queue) serve(ctx context.Context, env supervisor.Env) error {
	workers := river.NewWorkers()
	if err := river.AddWorkerSafely(workers, newPostOffice(env)); err != nil {
		return err
	}
	client, err := river.NewClient(riverpgxv5.New(env.Pool), &river.Config{
		Schema: env.Schema, Queues: q.queues(), Workers: workers, Logger: q.log,
		SoftStopTimeout: env.DrainTimeout, // from the end of ctx
		PollOnly:        env.Pooled,       // there is no LISTEN through a transaction pooler
	})
	if err != nil {
		return err
	}
	if err := client.Start(ctx); err != nil {
		return fmt.Errorf("start River in schema %q: %w", env.Schema, err)
	}
	<-client.Stopped()
	return nil
}

// queues are the configured queues as River wants them.
func (q *queue) queues() map[string]river.QueueConfig {
	all := map[string]river.QueueConfig{}
	for name, queue := range q.config.Queues {
		all[name] = river.QueueConfig{MaxWorkers: queue.Concurrency}
	}
	return all
}

// prepare sees that the target's schema has River's tables, and ours. A target
// with "migrations: verify", as production has it, is only looked at: the
// supervisor asks again until somebody has migrated it.
func (q *queue) prepare(ctx context.Context, pool *pgxpool.Pool, target reload.Target) error {
	if target.Migrations == reload.MigrationsApply {
		return migrate(ctx, pool, target.Schema, q.log)
	}
	missing, err := lacks(ctx, pool, target.Schema, q.log)
	if err == nil && missing != "" {
		err = fmt.Errorf("%s: run once with --targets.%s.migrations=apply", missing, target.Name)
	}
	if err != nil {
		return fmt.Errorf("check schema %q: %w", target.Schema, err)
	}
	return nil
}

// lacks says what the schema lacks, "" if nothing.
func lacks(ctx context.Context, pool *pgxpool.Pool, schema string, log *slog.Logger) (string, error) {
	migrator, err := newMigrator(pool, schema, log)
	if err != nil {
		return "", err
	}
	found, err := migrator.Validate(ctx, nil)
	if err != nil {
		return "", err
	}
	if !found.OK {
		return strings.Join(found.Messages, "; "), nil
	}
	var letters bool
	err = pool.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", lettersTable(schema)).Scan(&letters)
	if err == nil && !letters {
		return "the table of letters is missing", nil
	}
	return "", err
}

func newMigrator(pool *pgxpool.Pool, schema string, log *slog.Logger) (*rivermigrate.Migrator[pgx.Tx], error) {
	return rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Schema: schema, Logger: log})
}

// migrate creates the schema and all that belongs in it. Of the pods that race
// for it one does the work while the others wait for its lock; the pool must
// have a connection besides the one that holds it.
func migrate(ctx context.Context, pool *pgxpool.Pool, schema string, log *slog.Logger) error {
	err := pgx.BeginFunc(ctx, pool, func(lock pgx.Tx) error {
		if _, err := lock.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", "keep-your-queue "+schema); err != nil {
			return err
		}
		if _, err := pool.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+pgx.Identifier{schema}.Sanitize()); err != nil {
			return err
		}
		migrator, err := newMigrator(pool, schema, log)
		if err != nil {
			return err
		}
		if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
			return err
		}
		_, err = pool.Exec(ctx, "CREATE TABLE IF NOT EXISTS "+lettersTable(schema)+lettersColumns)
		return err
	})
	if err != nil {
		return fmt.Errorf("migrate schema %q: %w", schema, err)
	}
	return nil
}
