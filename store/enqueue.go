package store

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// NewJob is a job that is to be enqueued. Zero values mean the defaults.
type NewJob struct {
	Kind        string
	Args        any       // marshalled to JSON; nil means {}
	Queue       string    // understudy.DefaultQueue when empty
	Priority    int       // understudy.DefaultPriority when 0
	ScheduledAt time.Time // now, by the database's clock, when zero
	MaxAttempts int       // understudy.DefaultMaxAttempts when 0
	UniqueKey   string    // not unique when empty
	Metadata    any       // marshalled to JSON; nil means {}
}

// Enqueue enqueues one job and returns its id, or the id of the unfinished job
// of that kind which already has its unique key.
func (s *Store) Enqueue(ctx context.Context, job NewJob) (int64, error) {
	return s.enqueueOne(ctx, s.pool, job)
}

// EnqueueTx is Enqueue as part of the caller's transaction: the job exists if
// and only if the transaction commits.
func (s *Store) EnqueueTx(ctx context.Context, tx pgx.Tx, job NewJob) (int64, error) {
	return s.enqueueOne(ctx, tx, job)
}

func (s *Store) enqueueOne(ctx context.Context, db DB, job NewJob) (int64, error) {
	c, err := columnsOf([]NewJob{job})
	if err != nil {
		return 0, err
	}
	ids, err := s.enqueue(ctx, db, c, 1)
	if err != nil {
		return 0, err
	}
	return ids[0], nil
}

// deadlockTries is how often EnqueueMany begins anew. Calls that enqueue the
// same unique keys can wait for each other when they have several chunks.
const deadlockTries = 5

// EnqueueMany enqueues all of the jobs in one transaction, or none, and
// returns their ids in the order given. A job whose unique key is taken gets
// the id of the job that has it, within the call too.
func (s *Store) EnqueueMany(ctx context.Context, jobs []NewJob) ([]int64, error) {
	c, err := columnsOf(jobs)
	if err != nil {
		return nil, err
	}
	var ids []int64
	for try := 1; ; try++ {
		err := pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) (err error) {
			ids, err = s.enqueueAll(ctx, tx, c)
			return err
		})
		if err == nil {
			return ids, nil
		}
		var pgErr *pgconn.PgError
		if try == deadlockTries || !errors.As(err, &pgErr) || pgErr.Code != "40P01" { // deadlock_detected
			return nil, s.refuse("enqueue", err)
		}
	}
}

// EnqueueManyTx is EnqueueMany as part of the caller's transaction.
func (s *Store) EnqueueManyTx(ctx context.Context, tx pgx.Tx, jobs []NewJob) ([]int64, error) {
	c, err := columnsOf(jobs)
	if err != nil {
		return nil, err
	}
	return s.enqueueAll(ctx, tx, c)
}

// enqueueAll sends the jobs in chunks.
func (s *Store) enqueueAll(ctx context.Context, tx pgx.Tx, c *columns) ([]int64, error) {
	ids := make([]int64, 0, c.len())
	for start := 0; start < c.len(); {
		end := c.chunk(start)
		chunk, err := s.enqueue(ctx, tx, c.slice(start, end), start+1)
		if err != nil {
			return nil, err
		}
		ids = append(ids, chunk...)
		start = end
	}
	return ids, nil
}

// enqueue sends one chunk, whose first job has the number first in messages.
func (s *Store) enqueue(ctx context.Context, db DB, c *columns, first int) ([]int64, error) {
	var ids []int64
	err := db.QueryRow(ctx, s.sql.get("enqueue_many"),
		c.kinds, c.args, c.queues, c.priorities, c.scheduledAts, c.maxAttempts, c.uniqueKeys, c.metadata, first).Scan(&ids)
	return ids, s.refuse("enqueue", err)
}
