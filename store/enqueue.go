package store

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
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
// of that kind which already has its unique key. It returns once the job is
// committed; workers are told behind the commit. Where they cannot be told, the
// job waits until they look by themselves, and that is no error.
func (s *Store) Enqueue(ctx context.Context, job NewJob) (int64, error) {
	c, err := columnsOf([]NewJob{job})
	if err != nil {
		return 0, err
	}
	ids, err := s.commitAndWake(ctx, c)
	if err != nil {
		return 0, s.refuse("enqueue", err)
	}
	return ids[0], nil
}

// EnqueueTx is Enqueue as part of the caller's transaction: the job exists if
// and only if the transaction commits, and workers are told by its commit.
func (s *Store) EnqueueTx(ctx context.Context, tx pgx.Tx, job NewJob) (int64, error) {
	c, err := columnsOf([]NewJob{job})
	if err != nil {
		return 0, err
	}
	ids, err := s.send(ctx, tx, c, true)
	if err != nil {
		return 0, s.refuse("enqueue", err)
	}
	return ids[0], nil
}

// EnqueueMany enqueues all of the jobs in one transaction, or none, and
// returns their ids in the order given. A job whose unique key is taken gets
// the id of the job that has it, within the call too. Workers are told as they
// are by Enqueue.
func (s *Store) EnqueueMany(ctx context.Context, jobs []NewJob) ([]int64, error) {
	c, err := columnsOf(jobs)
	if err != nil {
		return nil, err
	}
	ids := []int64{}
	if c.len() == 0 {
		return ids, nil
	}
	err = s.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) (err error) {
		if ids, err = s.commit(ctx, conn, c); err == nil {
			_, _ = conn.Exec(ctx, s.sql.get("wake"), s.wakeArguments(c)...) // or they look by themselves
		}
		return err
	})
	return ids, s.refuse("enqueue", err)
}

// EnqueueManyTx is EnqueueMany as part of the caller's transaction.
func (s *Store) EnqueueManyTx(ctx context.Context, tx pgx.Tx, jobs []NewJob) ([]int64, error) {
	c, err := columnsOf(jobs)
	if err != nil {
		return nil, err
	}
	ids, err := s.send(ctx, tx, c, true)
	return ids, s.refuse("enqueue", err)
}

// ownTx is how a transaction of the store's own begins. It does not wake
// workers itself: of those that do, one commits at a time in the whole
// database, and the next waits until the last is on the disk. What wakes them
// behind it writes nothing, and waits for no disk.
var ownTx = pgx.TxOptions{IsoLevel: pgx.ReadCommitted}

// commitAndWake enqueues one chunk in a transaction and wakes workers in the
// next, in one round trip.
func (s *Store) commitAndWake(ctx context.Context, c *columns) (ids []int64, err error) {
	committed := false
	batch := &pgx.Batch{}
	batch.BeginTx(ownTx)
	batch.Queue(s.sql.get("enqueue_many"), c.arguments(1, false)...).QueryRow(func(row pgx.Row) error { return row.Scan(&ids) })
	batch.Queue("COMMIT").Exec(func(pgconn.CommandTag) error {
		committed = true
		return nil
	})
	batch.Queue(s.sql.get("wake"), s.wakeArguments(c)...)
	results := s.pool.SendBatch(ctx, batch)
	err = results.Close()
	_ = results.Tx().Rollback(ctx) // if it is open still; and gives the connection back
	if committed {
		return ids, nil
	}
	return nil, err
}

// deadlockTries is how often EnqueueMany begins anew. Calls that enqueue the
// same unique keys can wait for each other when they have several chunks.
const deadlockTries = 5

// commit enqueues the jobs in a transaction of the store's own.
func (s *Store) commit(ctx context.Context, conn *pgxpool.Conn, c *columns) (ids []int64, err error) {
	for range deadlockTries {
		err = pgx.BeginTxFunc(ctx, conn, ownTx, func(tx pgx.Tx) (err error) {
			ids, err = s.send(ctx, tx, c, false)
			return err
		})
		var pgErr *pgconn.PgError
		if !errors.As(err, &pgErr) || pgErr.Code != "40P01" { // deadlock_detected
			break
		}
	}
	if err != nil {
		return nil, err
	}
	return ids, nil
}

// send sends the jobs in chunks.
func (s *Store) send(ctx context.Context, tx pgx.Tx, c *columns, wake bool) ([]int64, error) {
	ids := make([]int64, 0, c.len())
	for start := 0; start < c.len(); {
		end := c.chunk(start)
		var chunk []int64
		err := tx.QueryRow(ctx, s.sql.get("enqueue_many"), c.slice(start, end).arguments(start+1, wake)...).Scan(&chunk)
		if err != nil {
			return nil, err
		}
		ids = append(ids, chunk...)
		start = end
	}
	return ids, nil
}

// wakeArguments are those of the statement that wakes workers if a job is due.
func (s *Store) wakeArguments(c *columns) []any {
	return []any{wakeChannel(s.schema), c.scheduledAts}
}
