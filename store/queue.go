package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/understudy-worker/understudy"
)

// QueueOptions say who the worker of a Queue is.
type QueueOptions struct {
	Pod          string
	TemplateHash string
	Place        understudy.Place
	// Lease is how long the worker holds its jobs after each renewal.
	Lease time.Duration
	// MaxLosses is after how many lost workers a job is discarded.
	MaxLosses int
	// Retention is how long finished jobs are kept at least.
	Retention time.Duration
	// Pooled says that a transaction pooler stands before the server: no
	// LISTEN, no settings of a session.
	Pooled bool
}

// Queue is one epoch's hold on a schema: it claims jobs, records their
// outcomes and keeps the lease, on connections of its own that handlers cannot
// take. Its methods may be called concurrently.
type Queue struct {
	store   *Store
	options QueueOptions
	epoch   string
	connect *pgx.ConnConfig

	claims  *lane // claims and promotions
	records *lane // outcomes
	leases  *lane // heartbeats, rescue, pruning

	mu   sync.Mutex
	next int64         // number of the next claim
	held map[int64]int // claims that are under way (-1) or have jobs that are not recorded yet
}

// NewQueue makes the queue of one epoch. It does not connect. Close releases it.
func NewQueue(pool *pgxpool.Pool, options QueueOptions) (*Queue, error) {
	s, err := New(pool, options.Place.Schema)
	if err != nil {
		return nil, err
	}
	q := &Queue{
		store: s, options: options, epoch: uuid.NewString(), connect: pool.Config().ConnConfig,
		next: 1, held: map[int64]int{},
	}
	for _, l := range []struct {
		lane    **lane
		purpose string
		conns   int32
		set     settings
	}{
		{&q.claims, "claims", 2, searchSettings},
		{&q.records, "outcomes", 2, recordSettings},
		{&q.leases, "lease", 2, recordSettings},
	} {
		if *l.lane, err = newLane(pool, l.purpose, l.conns, l.set, options.Pooled); err != nil {
			q.Close()
			return nil, err
		}
	}
	return q, nil
}

// Close closes the queue's connections. Nothing may be using them.
func (q *Queue) Close() {
	for _, l := range []*lane{q.claims, q.records, q.leases} {
		if l != nil {
			l.pool.Close()
		}
	}
}

// Epoch is the random id of the epoch: its row in workers.
func (q *Queue) Epoch() string { return q.epoch }

// Open enters the epoch into workers; its lease starts.
func (q *Queue) Open(ctx context.Context) error {
	o := q.options
	_, err := q.leases.exec(ctx, q.store.sql.get("open_epoch"),
		q.epoch, o.Pod, o.Place.Version, o.Place.Role, o.TemplateHash, o.Lease.Seconds())
	return q.store.wrap("open epoch", err)
}

// Claim takes up to request.Limit due jobs, the most urgent first. A worker
// whose lease has run out gets none. When it fails, the claim may still have
// been made: the next Renew returns its jobs to their queue.
func (q *Queue) Claim(ctx context.Context, request understudy.ClaimRequest) ([]*understudy.Job, error) {
	number := q.begin()
	var jobs []*understudy.Job
	batch := &pgx.Batch{}
	batch.Queue(q.store.sql.get("claim"), q.epoch, number, request.Queue, request.Kinds, request.Limit).
		Query(func(rows pgx.Rows) (err error) {
			jobs, err = q.collect(rows, number)
			return err
		})
	if err := q.claims.run(ctx, batch); err != nil {
		q.settle(number, 0)
		return nil, q.store.wrap("claim jobs", err)
	}
	q.settle(number, len(jobs))
	return jobs, nil
}

func (q *Queue) collect(rows pgx.Rows, number int64) ([]*understudy.Job, error) {
	var jobs []*understudy.Job
	for rows.Next() {
		j := &understudy.Job{Schema: q.store.schema, Claim: understudy.Claim{Epoch: q.epoch, Number: number}}
		if err := rows.Scan(&j.ID, &j.Queue, &j.Kind, &j.Args, &j.Priority, &j.ScheduledAt, &j.Attempt, &j.MaxAttempts,
			&j.Losses, &j.UniqueKey, &j.Metadata, &j.CreatedAt, &j.AttemptedAt, &j.Claim.Requeues); err != nil {
			return nil, err
		}
		jobs = append(jobs, j)
	}
	return jobs, rows.Err()
}

// underWay marks a claim whose reply has not arrived.
const underWay = -1

// begin counts a claim and notes that it is under way.
func (q *Queue) begin() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	number := q.next
	q.next++
	q.held[number] = underWay
	return number
}

// settle notes how many jobs a claim brought.
func (q *Queue) settle(number int64, jobs int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if jobs == 0 {
		delete(q.held, number)
		return
	}
	q.held[number] = jobs
}

// known lists the claims that are held or under way, and the number that the
// next claim will have: what is below it and not listed is nobody's.
func (q *Queue) known() (numbers []int64, next int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	numbers = make([]int64, 0, len(q.held))
	for number := range q.held {
		numbers = append(numbers, number)
	}
	return numbers, q.next
}

// Renew extends the lease by its full length from now, by the server's clock.
// It returns ErrEpochOver when the lease is gone.
func (q *Queue) Renew(ctx context.Context, draining bool) error {
	state := "serving"
	if draining {
		state = "draining"
	}
	touched, err := q.leases.exec(ctx, q.store.sql.get("renew_epoch"), q.epoch, q.options.Lease.Seconds(), state)
	if err != nil {
		return q.store.wrap("renew lease", err)
	}
	if touched == 0 {
		return understudy.ErrEpochOver
	}
	return nil
}

// Reconcile releases the jobs of claims whose reply was lost, and lists the
// jobs that somebody wants cancelled.
func (q *Queue) Reconcile(ctx context.Context) (found understudy.Reconciled, err error) {
	numbers, next := q.known()
	batch := &pgx.Batch{}
	batch.Queue(q.store.sql.get("reclaim"), q.epoch, numbers, next, wakeChannel(q.store.schema)).
		QueryRow(func(row pgx.Row) error { return row.Scan(&found.Reclaimed, nil) })
	batch.Queue(q.store.sql.get("cancel_requested")).Query(func(rows pgx.Rows) (err error) {
		found.CancelRequested, err = pgx.CollectRows(rows, pgx.RowTo[int64])
		return err
	})
	return found, q.store.wrap("reconcile claims", q.leases.run(ctx, batch))
}

// End returns whatever the epoch still holds to its queues, uncharged, and
// ends the epoch. Ending one that is over already is no error: its jobs are
// for others to rescue.
func (q *Queue) End(ctx context.Context) error {
	err := pgx.BeginFunc(ctx, q.leases.pool, func(tx pgx.Tx) error {
		var live int
		if err := tx.QueryRow(ctx, q.store.sql.get("lock_epoch"), q.epoch).Scan(&live); err != nil {
			return err
		}
		_, next := q.known()
		if _, err := tx.Exec(ctx, q.store.sql.get("reclaim"), q.epoch, []int64{}, next, wakeChannel(q.store.schema)); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, q.store.sql.get("end_epoch"), q.epoch)
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	return q.store.wrap("end epoch", err)
}

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

// Listen calls wake when jobs may be due, and cancel when a cancellation may
// have been asked for: once at the start, since what came before was not heard,
// and whenever the server says so. It returns when ctx ends or the connection
// is lost. Through a pooler there is nothing to hear: it waits for ctx.
func (q *Queue) Listen(ctx context.Context, wake, cancel func()) error {
	if q.options.Pooled {
		<-ctx.Done()
		return nil
	}
	conn, err := q.dial(ctx)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	defer func() {
		closing, done := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer done()
		_ = conn.Close(closing)
	}()
	wakes, cancels := wakeChannel(q.store.schema), cancelChannel(q.store.schema)
	for _, channel := range []string{wakes, cancels} {
		if _, err := conn.Exec(ctx, "LISTEN "+pgx.Identifier{channel}.Sanitize()); err != nil {
			return fmt.Errorf("listen: %w", err)
		}
	}
	wake()
	cancel()
	for {
		notification, err := conn.WaitForNotification(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		switch notification.Channel {
		case wakes:
			wake()
		case cancels:
			cancel()
		}
	}
}

// dial opens the connection that listens. It asks the pool's BeforeConnect for
// the login of the moment, as the pool's own connections do.
func (q *Queue) dial(ctx context.Context) (*pgx.Conn, error) {
	config := q.connect.Copy()
	if before := q.store.pool.Config().BeforeConnect; before != nil {
		if err := before(ctx, config); err != nil {
			return nil, err
		}
	}
	config.RuntimeParams["application_name"] = purposeName(config.RuntimeParams["application_name"], "listen")
	return pgx.ConnectConfig(ctx, config)
}
