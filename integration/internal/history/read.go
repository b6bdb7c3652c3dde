package history

import (
	"context"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-worker/understudy/store"
)

// Read reads what the place's schema says. Each list is one statement, however
// long it is: a job that moves meanwhile is seen once, and one that is there
// twice is seen twice.
func (p *Place) Read(ctx context.Context, pool *pgxpool.Pool) error {
	s, err := store.New(pool, p.Schema)
	if err != nil {
		return fmt.Errorf("read place %s: %w", p.Name, err)
	}
	if p.Jobs, err = s.Jobs(ctx, store.Filter{Limit: math.MaxInt32}); err != nil {
		return fmt.Errorf("read place %s: %w", p.Name, err)
	}
	if p.Epochs, err = s.Workers(ctx, math.MaxInt32); err != nil {
		return fmt.Errorf("read place %s: %w", p.Name, err)
	}
	if p.Effects, err = effects(ctx, pool, p.Schema); err != nil {
		return fmt.Errorf("read the effects of place %s: %w", p.Name, err)
	}
	return nil
}

// effectsTable is where handlers note their effects, in the schema of the job.
const effectsTable = "effects"

// effects reads the effects of a schema; none where it has no table for them.
func effects(ctx context.Context, db store.DB, schema string) ([]Effect, error) {
	table := pgx.Identifier{schema, effectsTable}.Sanitize()
	var there bool
	if err := db.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", table).Scan(&there); err != nil || !there {
		return nil, err
	}
	rows, err := db.Query(ctx, "SELECT job_id, pod FROM "+table)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[Effect])
}
