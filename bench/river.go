package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// River's own benchmark sets these two, and 2,000 workers, for throughput
// (cmd/river/riverbench). The cooldown also limits how often an inserting client
// notifies workers; half of it makes no figure better.
const (
	riverCooldown = 2 * time.Millisecond
	riverPoll     = 20 * time.Millisecond
	riverWorkers  = 2_000
)

// riverSystem is River with the settings of its own benchmark.
func riverSystem() system {
	return system{
		key: riverKey, title: "River", concurrency: riverWorkers,
		migrate: func(ctx context.Context, db *pgxpool.Pool) error {
			migrator, err := rivermigrate.New(riverpgxv5.New(db), &rivermigrate.Config{Logger: riverLog()})
			if err != nil {
				return err
			}
			_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
			return err
		},
		open:        riverProducer,
		work:        riverEngine,
		idle:        none("SELECT FROM river_job WHERE state IN ('available', 'running', 'retryable', 'pending')"),
		openSQL:     "SELECT count(*) FROM river_job WHERE state IN ('available', 'running')",
		finishedSQL: "SELECT count(*) FROM river_job WHERE state = 'completed'",
		finishedRows: writes(`INSERT INTO river_job (state, attempt, max_attempts, attempted_at, created_at, finalized_at, scheduled_at, priority, args, attempted_by, kind, queue)
SELECT 'completed', 1, 25, at + interval '5 ms', at, at + interval '10 ms', at, 1, jsonb_build_object('to', 'someone@example.org', 'n', n), ARRAY['mailer_2026_01_01T00_00_00'], 'noop', 'default'
FROM (SELECT n, now() - interval '3 hours' - ($1 - n) * interval '18 hours' / $1 AS at FROM generate_series(1, $1::int) n) history`),
		scheduledRows: writes(`INSERT INTO river_job (state, max_attempts, scheduled_at, priority, args, kind, queue)
SELECT 'scheduled', 25, now() + interval '1 hour', 1, jsonb_build_object('to', 'someone@example.org', 'n', n), 'noop', 'default'
FROM generate_series(1, $1::int) n`),
	}
}

func riverLog() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
}

func riverProducer(db *pgxpool.Pool) (producer, error) {
	client, err := river.NewClient(riverpgxv5.New(db), &river.Config{
		FetchCooldown: riverCooldown, FetchPollInterval: riverPoll, Logger: riverLog(),
	})
	if err != nil {
		return producer{}, err
	}
	return producer{
		one: func(ctx context.Context, job jobArgs) error {
			_, err := client.Insert(ctx, job, nil)
			return err
		},
		batch: func(ctx context.Context, jobs []jobArgs) error {
			_, err := client.InsertMany(ctx, riverBatch(jobs))
			return err
		},
		copy: func(ctx context.Context, jobs []jobArgs) error {
			_, err := client.InsertManyFast(ctx, riverBatch(jobs))
			return err
		},
	}, nil
}

func riverBatch(jobs []jobArgs) []river.InsertManyParams {
	batch := make([]river.InsertManyParams, len(jobs))
	for i, job := range jobs {
		batch[i] = river.InsertManyParams{Args: job}
	}
	return batch
}

// riverWorker hands River's jobs to the tally.
type riverWorker struct {
	river.WorkerDefaults[jobArgs]
	tally *tally
}

func (w *riverWorker) Work(ctx context.Context, job *river.Job[jobArgs]) error {
	return w.tally.handleNumber(ctx, job.Args.N)
}

// riverEngine runs a River client until ctx ends.
func riverEngine(ctx context.Context, a assignment, t *tally, g *gate) error {
	db, err := pool(ctx, a.DSN, int32(conns-1), "river") // it takes the one that listens out of the pool
	if err != nil {
		return err
	}
	defer db.Close()
	client, err := riverClient(db, a, t)
	if err != nil {
		return err
	}
	if begin, err := g.open(ctx); !begin {
		return err
	}
	if err := client.Start(ctx); err != nil {
		return fmt.Errorf("start River: %w", err)
	}
	<-client.Stopped() // when ctx has ended
	return nil
}

func riverClient(db *pgxpool.Pool, a assignment, t *tally) (*river.Client[pgx.Tx], error) {
	workers := river.NewWorkers()
	if err := river.AddWorkerSafely(workers, &riverWorker{tally: t}); err != nil {
		return nil, err
	}
	return river.NewClient(riverpgxv5.New(db), &river.Config{
		FetchCooldown: riverCooldown, FetchPollInterval: riverPoll, Logger: riverLog(),
		Queues:  map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: a.Concurrency}},
		Workers: workers,
	})
}
