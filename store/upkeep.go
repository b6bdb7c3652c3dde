package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-worker/understudy"
)

// Promote moves the jobs whose time has come to where they are claimed from.
func (q *Queue) Promote(ctx context.Context) (understudy.Upkeep, error) {
	var done understudy.Upkeep
	var seconds float64
	batch := &pgx.Batch{}
	batch.Queue(q.store.sql.get("promote"), promoteBatch, wakeChannel(q.store.schema)).
		QueryRow(func(row pgx.Row) error { return row.Scan(&done.Promoted, nil) })
	batch.Queue(q.store.sql.get("next_due")).
		QueryRow(func(row pgx.Row) error { return row.Scan(&seconds) })
	if err := q.claims.run(ctx, batch); err != nil {
		return done, q.store.wrap("promote scheduled jobs", err)
	}
	done.NextDue = time.Duration(seconds * float64(time.Second))
	return done, nil
}

// promoteBatch bounds how many rows one promotion moves.
const promoteBatch = 5000

// Rescue marks the workers whose lease ran out as lost, and returns the jobs
// of workers that are gone to their queues. It returns how many jobs it took.
func (q *Queue) Rescue(ctx context.Context) (rescued int, err error) {
	if _, err := q.leases.exec(ctx, q.store.sql.get("expire")); err != nil {
		return 0, q.store.wrap("expire workers", err)
	}
	err = q.leases.row(ctx, []any{&rescued, nil}, q.store.sql.get("rescue"), q.options.MaxLosses, wakeChannel(q.store.schema))
	if err != nil {
		return 0, q.store.wrap("rescue jobs", err)
	}
	_, err = q.leases.exec(ctx, q.store.sql.get("sweep_claims"))
	return rescued, q.store.wrap("sweep claims", err)
}

// Prune drops what is older than the retention.
func (q *Queue) Prune(ctx context.Context) error {
	var emptied int
	err := q.leases.row(ctx, []any{&emptied}, q.store.sql.get("prune"), q.options.Retention.Seconds())
	return q.store.wrap("prune finished jobs", err)
}
