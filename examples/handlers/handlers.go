package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/store"
	"github.com/understudy-worker/understudy/supervisor"
)

// handlers makes the handlers of one epoch, on the pool and the schema of its
// target. It is called again for the next one.
func handlers(_ context.Context, env supervisor.Env) (understudy.Handlers, error) {
	s := shop{pool: env.Pool, schema: env.Schema}
	return understudy.Handlers{"charge": understudy.Typed(s.charge)}, nil
}

// shop works the jobs of one epoch.
type shop struct {
	pool   *pgxpool.Pool
	schema string
}

// table is a table of the epoch's own schema.
func (s shop) table(name string) string { return pgx.Identifier{s.schema, name}.Sanitize() }

// order are the arguments of a job of kind charge: {"order_id": 7}.
type order struct {
	ID int64 `json:"order_id"`
}

// charge charges an order. The charge and the job's completion are one
// transaction: one of each, however often the job is tried. That there is one
// charge, however many jobs there are and whoever runs a completed one again, is
// the constraint's to see to.
func (s shop) charge(ctx context.Context, job *understudy.Job, o order) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var cents int
		err := tx.QueryRow(ctx, "SELECT cents FROM "+s.table("orders")+" WHERE id = $1", o.ID).Scan(&cents)
		if err != nil {
			return fmt.Errorf("find order %d: %w", o.ID, err)
		}
		if cents <= 0 {
			return understudy.Discard(fmt.Errorf("order %d costs nothing", o.ID))
		}
		_, err = tx.Exec(ctx, "INSERT INTO "+s.table("charges")+" (order_id, cents) VALUES ($1, $2) ON CONFLICT (order_id) DO NOTHING", o.ID, cents)
		if err != nil {
			return fmt.Errorf("charge order %d: %w", o.ID, err)
		}
		if err := job.SetResult(map[string]int{"cents": cents}); err != nil {
			return err
		}
		return store.CompleteTx(ctx, tx, job)
	})
}
