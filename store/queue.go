package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/internal/session"
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
	store     *Store
	options   QueueOptions
	epoch     string
	connected bool // by Connect, which comes before all else
	connect   *pgx.ConnConfig

	claims  *lane // claims and promotions
	records *lane // outcomes
	leases  *lane // heartbeats, rescue, pruning

	listener atomic.Pointer[pgx.Conn] // made by Open for the first Listen

	held   holdings
	fronts frontiers
}

// NewQueue makes the queue of one epoch. It does not connect. Close releases it.
func NewQueue(pool *pgxpool.Pool, options QueueOptions) (*Queue, error) {
	s, err := New(pool, options.Place.Schema)
	if err != nil {
		return nil, err
	}
	q := &Queue{
		store: s, options: options, epoch: uuid.NewString(), connect: pool.Config().ConnConfig,
		held: holdings{claims: map[int64]map[int64]struct{}{}},
	}
	for _, l := range []struct {
		lane    **lane
		purpose string
		set     session.Settings
	}{
		{&q.claims, "claims", searchSettings},
		{&q.records, "outcomes", recordSettings},
		{&q.leases, "lease", leaseSettings},
	} {
		if *l.lane, err = newLane(pool, s.schema, l.purpose, laneConns, l.set, options.Pooled); err != nil {
			q.Close()
			return nil, err
		}
	}
	return q, nil
}

// laneConns is the most connections of one lane: a renewal, a reconciliation and
// a round of housekeeping may be under way at a time.
const laneConns = 3

// Close closes the queue's connections. Nothing may be using them.
func (q *Queue) Close() {
	if conn := q.listener.Swap(nil); conn != nil {
		hangUp(conn)
	}
	for _, l := range []*lane{q.claims, q.records, q.leases} {
		if l != nil {
			l.pool.Close()
		}
	}
}

// Epoch is the random id of the epoch: its row in workers.
func (q *Queue) Epoch() string { return q.epoch }

// Connect opens a session for everything that the epoch needs until its last
// outcome. Where one cannot be had it says for what.
func (q *Queue) Connect(ctx context.Context) error {
	err := q.connectAll(ctx)
	q.connected = err == nil
	return q.store.wrap("open epoch", err)
}

// Open enters the epoch into workers; its lease starts. Without Connect before, it
// connects too. The entry need not be durable: a crash that loses it loses all
// claims of the epoch too.
func (q *Queue) Open(ctx context.Context) error {
	if !q.connected {
		if err := q.Connect(ctx); err != nil {
			return err
		}
	}
	o := q.options
	_, err := q.claims.exec(ctx, q.store.sql.get("open_epoch"),
		q.epoch, o.Pod, o.Place.Version, o.Place.Role, o.TemplateHash, o.Lease.Seconds())
	return q.store.wrap("open epoch", err)
}

// connectAll opens the sessions side by side.
func (q *Queue) connectAll(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var opening sync.WaitGroup
	var once sync.Once
	var first error // the others' errors would only say that they were given up with it
	for _, connect := range []func(context.Context) error{q.claims.connect, q.records.connect, q.leases.connect, q.openListener} {
		opening.Go(func() {
			if err := patiently(ctx, connect); err != nil {
				once.Do(func() { first = err })
				cancel()
			}
		})
	}
	opening.Wait()
	if pgconn.Timeout(first) {
		return fmt.Errorf("%w: the server is too busy to begin it, or a pooler has no session left for this login", first)
	}
	return first
}

// patiently connects, and again where the server was too busy to answer in time:
// what is there already is kept.
func patiently(ctx context.Context, connect func(context.Context) error) error {
	for {
		err := connect(ctx)
		if err == nil || ctx.Err() != nil || !pgconn.Timeout(err) {
			return err
		}
	}
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

// lock locks the epoch's row. It waits for a claim that is under way, and
// returns pgx.ErrNoRows when the epoch is over.
func (q *Queue) lock(ctx context.Context, tx pgx.Tx) error {
	var live int
	return tx.QueryRow(ctx, q.store.sql.get("lock_epoch"), q.epoch).Scan(&live)
}

// End returns whatever the epoch still holds to its queues, uncharged, and
// ends the epoch. A job whose row somebody has locked is left to be rescued.
// Ending an epoch that is over already is no error: its jobs are for others.
func (q *Queue) End(ctx context.Context) error {
	err := q.leases.tx(ctx, func(tx pgx.Tx) error {
		if err := q.lock(ctx, tx); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, q.store.sql.get("forget_claims"), q.epoch, q.held.emptiedBy(nil)); err != nil {
			return err
		}
		released, err := q.release(ctx, tx, nil, math.MaxInt64)
		if err != nil {
			return err
		}
		if released == 0 { // then an end that is lost in a crash costs nobody anything
			if _, err := tx.Exec(ctx, "SET LOCAL synchronous_commit = off"); err != nil {
				return err
			}
		}
		_, err = tx.Exec(ctx, q.store.sql.get("end_epoch"), q.epoch)
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	return q.store.wrap("end epoch", err)
}
