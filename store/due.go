package store

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Due says how much of a queue waits for a worker.
type Due struct {
	Queue         string  `db:"queue"`
	Jobs          int64   `db:"jobs"`
	OldestSeconds float64 `db:"oldest_seconds"`
}

// otherRows is how many rows of ready are looked at for what waits in other
// queues: anybody who may enqueue can invent any number of them.
const otherRows = 10_000

// Due says how many jobs wait in each of the queues, and for how long. Those in
// which none does are left out. What waits in other queues costs nothing.
func (s *Store) Due(ctx context.Context, queues []string) (rows []Due, err error) {
	err = s.look(ctx, "due", func(found pgx.Rows) (err error) {
		rows, err = pgx.CollectRows(found, pgx.RowToStructByName[Due])
		return err
	}, queues)
	return rows, s.wrap("count due jobs", err)
}

// OtherDue says how many jobs wait in all other queues together, and for how
// long; where it is many, how many at least. Its Queue is empty.
func (s *Store) OtherDue(ctx context.Context, queues []string) (due Due, err error) {
	err = s.look(ctx, "other_due", func(found pgx.Rows) (err error) {
		due, err = pgx.CollectExactlyOneRow(found, pgx.RowToStructByNameLax[Due])
		return err
	}, queues, otherRows)
	return due, s.wrap("count due jobs of other queues", err)
}

// look reads ready by its index, whatever the planner believes of the table.
func (s *Store) look(ctx context.Context, name string, read func(pgx.Rows) error, args ...any) error {
	batch := &pgx.Batch{} // one transaction
	batch.Queue("SELECT pg_catalog.set_config(name, 'off', true) FROM unnest('{enable_seqscan,enable_bitmapscan,jit}'::text[]) AS name")
	batch.Queue(s.sql.get(name), args...).Query(read)
	return s.pool.SendBatch(ctx, batch).Close()
}
