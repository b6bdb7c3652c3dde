package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-worker/understudy/internal/rollout"
	"github.com/understudy-worker/understudy/store"
)

// dbTimeout bounds every question that the demo asks the database.
const dbTimeout = 10 * time.Second

// allRows is a limit that no run reaches.
const allRows = 10_000_000

// board reads from the database how the workers are doing.
type board struct {
	pool       *pgxpool.Pool
	production string // schema
	previews   string // what the names of preview schemas begin with
}

// preview is the schema of a revision in preview.
func (b *board) preview(r *rollout.Revision) string { return b.previews + r.Hash }

// store is the store of a schema.
func (b *board) store(schema string) (*store.Store, error) { return store.New(b.pool, schema) }

// clock is the database's clock.
func (b *board) clock(ctx context.Context) (now time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, dbTimeout)
	defer cancel()
	if err := b.pool.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&now); err != nil {
		return now, fmt.Errorf("ask the database for the time: %w", err)
	}
	return now, nil
}

// existing are those of the schemas that have been migrated, in their order.
func (b *board) existing(ctx context.Context, schemas []string) ([]string, error) {
	rows, err := b.pool.Query(ctx, `
		SELECT n.nspname::text FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid
		WHERE c.relname = 'job_counts' AND n.nspname = ANY ($1)`, schemas)
	if err != nil {
		return nil, fmt.Errorf("list schemas: %w", err)
	}
	there, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("list schemas: %w", err)
	}
	return slices.DeleteFunc(slices.Clone(schemas), func(s string) bool { return !slices.Contains(there, s) }), nil
}

// claims is what one version has claimed in a schema.
type claims struct {
	Version string
	Jobs    int // claimed, finished or not
	Done    int // completed
	First   time.Time
	Last    time.Time
}

// claimed says who claimed jobs of a schema since a time, by version. A claim
// whose worker was lost counts for whoever took the job after that.
func (b *board) claimed(ctx context.Context, schema string, since time.Time) (map[string]claims, error) {
	rows, err := b.pool.Query(ctx, `
		SELECT worker_version AS version, count(*) AS jobs, count(*) FILTER (WHERE state = 'completed') AS done,
		       min(attempted_at) AS first, max(attempted_at) AS last
		FROM `+pgx.Identifier{schema}.Sanitize()+`.jobs
		WHERE worker_version IS NOT NULL AND attempted_at >= $1
		GROUP BY worker_version`, since)
	if err != nil {
		return nil, fmt.Errorf("read claims of schema %q: %w", schema, err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByName[claims])
	if err != nil {
		return nil, fmt.Errorf("read claims of schema %q: %w", schema, err)
	}
	byVersion := map[string]claims{}
	for _, c := range all {
		byVersion[c.Version] = c
	}
	return byVersion, nil
}

// jobs are those of a schema with these numbers.
func (b *board) jobs(ctx context.Context, schema string, ids []int64) ([]store.JobRow, error) {
	s, err := b.store(schema)
	if err != nil {
		return nil, err
	}
	jobs := make([]store.JobRow, 0, len(ids))
	for _, id := range ids {
		job, err := s.Job(ctx, id)
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, job)
	}
	return jobs, nil
}

// live are the epochs of a revision whose lease runs, in any of the schemas.
func (b *board) live(ctx context.Context, schemas []string, r *rollout.Revision) ([]store.WorkerRow, error) {
	there, err := b.existing(ctx, schemas)
	if err != nil {
		return nil, err
	}
	var live []store.WorkerRow
	for _, schema := range there {
		s, err := b.store(schema)
		if err != nil {
			return nil, err
		}
		workers, err := s.Workers(ctx, allRows)
		if err != nil {
			return nil, err
		}
		for _, w := range workers {
			if w.Live && w.TemplateHash == r.Hash {
				live = append(live, w)
			}
		}
	}
	return live, nil
}

// enqueued counts the jobs that there ever were in a schema.
func (b *board) enqueued(ctx context.Context, schema string) (count int, err error) {
	err = b.pool.QueryRow(ctx, "SELECT coalesce(sum(count), 0)::bigint FROM "+pgx.Identifier{schema}.Sanitize()+".job_counts").Scan(&count)
	if err != nil {
		return 0, fmt.Errorf("count the jobs of schema %q: %w", schema, err)
	}
	return count, nil
}

// unfinished counts the jobs of a schema that are not finished, but for those
// of visitors: they may be such as nobody can finish.
func (b *board) unfinished(ctx context.Context, schema string) (count int, err error) {
	err = b.pool.QueryRow(ctx, "SELECT count(*) FROM "+pgx.Identifier{schema}.Sanitize()+".open_jobs WHERE queue <> $1", visitorQueue).Scan(&count)
	if err != nil {
		return 0, fmt.Errorf("count the open jobs of schema %q: %w", schema, err)
	}
	return count, nil
}

// createSchema creates a schema that was not there.
func (b *board) createSchema(ctx context.Context, schema string) error {
	_, err := b.pool.Exec(ctx, "CREATE SCHEMA "+pgx.Identifier{schema}.Sanitize())
	var pgErr *pgconn.PgError
	switch {
	case errors.As(err, &pgErr) && pgErr.Code == "42P06": // duplicate_schema
		return fmt.Errorf("there is a schema %q on that server already, and the demo makes and drops its own: choose other names with --schema-prefix", schema)
	case err != nil:
		return fmt.Errorf("create schema %q: %w", schema, err)
	}
	return nil
}

// dropSchemas drops the demo's schemas.
func (b *board) dropSchemas(ctx context.Context, schemas []string) error {
	for _, schema := range schemas {
		if _, err := b.pool.Exec(ctx, "DROP SCHEMA IF EXISTS "+pgx.Identifier{schema}.Sanitize()+" CASCADE"); err != nil {
			return fmt.Errorf("drop schema %q: %w", schema, err)
		}
	}
	return nil
}
