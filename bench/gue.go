package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/vgarvardt/gue/v5"
	"github.com/vgarvardt/gue/v5/adapter/pgxv5"
)

// gueTables makes gue's tables. Their SQL is in its module, beside its packages.
func gueTables(ctx context.Context, db *pgxpool.Pool) error {
	dir, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/vgarvardt/gue/v5").Output()
	if err != nil {
		return fmt.Errorf("find gue's module: run this in the directory bench: %w", err)
	}
	tables, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "migrations", "schema.sql"))
	if err != nil {
		return fmt.Errorf("read gue's tables: %w", err)
	}
	_, err = db.Exec(ctx, string(tables))
	return err
}

// guePoll is how long a worker of gue's rests when it found no job: gue is not
// notified. With one worker a connection somebody looks every millisecond.
const guePoll = 10 * time.Millisecond

// gueSystem is gue with a worker for each connection, as many as the others
// have: it holds a transaction open for as long as a job runs. It deletes finished jobs.
func gueSystem() system {
	return system{
		key: gueKey, title: "gue", concurrency: conns, slow: true, connEach: true,
		migrate: gueTables,
		open:    gueProducer,
		work:    gueEngine,
		idle:    none("SELECT FROM gue_jobs WHERE queue = '' AND run_at <= now()"),
		openSQL: "SELECT count(*) FROM gue_jobs WHERE run_at <= now()",
		scheduledRows: writes(`INSERT INTO gue_jobs (job_id, priority, run_at, job_type, args, queue, created_at, updated_at)
SELECT 'scheduled' || n, 0, now() + interval '1 hour', 'noop', convert_to('{"to":"someone@example.org","n":' || n || '}', 'UTF8'), '', now(), now()
FROM generate_series(1, $1::int) n`),
	}
}

func gueProducer(db *pgxpool.Pool) (producer, error) {
	client, err := gue.NewClient(pgxv5.NewConnPool(db))
	if err != nil {
		return producer{}, err
	}
	return producer{
		one: func(ctx context.Context, job jobArgs) error {
			batch, err := gueBatch([]jobArgs{job})
			if err != nil {
				return err
			}
			return client.Enqueue(ctx, batch[0])
		},
		batch: func(ctx context.Context, jobs []jobArgs) error {
			batch, err := gueBatch(jobs)
			if err != nil {
				return err
			}
			return client.EnqueueBatch(ctx, batch)
		},
	}, nil
}

func gueBatch(jobs []jobArgs) ([]*gue.Job, error) {
	batch := make([]*gue.Job, len(jobs))
	for i, job := range jobs {
		args, err := json.Marshal(job)
		if err != nil {
			return nil, err
		}
		batch[i] = &gue.Job{Type: jobKind, Args: args}
	}
	return batch, nil
}

// gueEngine runs a pool of gue's workers until ctx ends.
func gueEngine(ctx context.Context, a assignment, t *tally, g *gate) error {
	db, err := pool(ctx, a.DSN, int32(a.Concurrency), "gue")
	if err != nil {
		return err
	}
	defer db.Close()
	client, err := gue.NewClient(pgxv5.NewConnPool(db))
	if err != nil {
		return err
	}
	handle := func(ctx context.Context, job *gue.Job) error { return t.handle(ctx, job.Args) }
	workers, err := gue.NewWorkerPool(client, gue.WorkMap{jobKind: handle}, a.Concurrency,
		// In the order of its index; by priority it sorts all jobs for each one.
		gue.WithPoolPollStrategy(gue.RunAtPollStrategy),
		gue.WithPoolPollInterval(guePoll),
		gue.WithPoolGracefulShutdown(nil),
	)
	if err != nil {
		return err
	}
	if begin, err := g.open(ctx); !begin {
		return err
	}
	return workers.Run(ctx)
}
