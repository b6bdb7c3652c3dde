package main

import (
	"context"
	"fmt"
	"runtime"

	"github.com/jackc/pgx/v5/pgxpool"
)

// conns is how many connections a worker process may hold, whichever system
// it runs: as many as Understudy's holds at most, which are three each for
// claims, outcomes and leases, one that listens, and the pool for its handlers.
var conns = 3*3 + 1 + max(4, runtime.NumCPU())

// system is one of those that are compared.
type system struct {
	key   string // in flags and raw results
	title string // in tables

	concurrency int  // jobs that its worker runs at a time at most; 0 for what the run says
	slow        bool // it gets fewer jobs to drain
	connEach    bool // every running job has a connection to itself

	// migrate makes the system's tables, by its own means.
	migrate func(ctx context.Context, db *pgxpool.Pool) error
	// open makes a client that enqueues, on a pool that is the caller's.
	open func(db *pgxpool.Pool) (producer, error)
	// work is its engine in a worker process.
	work engine

	// idle says, cheaply, whether nothing is due or running any more, which is
	// so when that many jobs are completed.
	idle func(ctx context.Context, db *pgxpool.Pool, completed int) (bool, error)
	// openSQL counts the jobs that are due or running, finishedSQL those that were
	// completed; "" where a system deletes them.
	openSQL, finishedSQL string

	// finishedRows and scheduledRows write rows straight into the tables: jobs
	// finished a while ago, and jobs that are due in an hour. nil where there is no such thing.
	finishedRows, scheduledRows writer
}

// writer writes rows straight into a system's tables.
type writer func(ctx context.Context, db *pgxpool.Pool, rows int) error

// The systems' keys.
const (
	understudyKey = "understudy"
	riverKey      = "river"
	gueKey        = "gue"
)

func (s system) name() string { return s.key }

// mostConns is how many connections a worker process of it may hold.
func (s system) mostConns(concurrency int) int {
	if s.connEach {
		return concurrency
	}
	return conns
}

// producer enqueues jobs. Its methods return when they are committed.
type producer struct {
	one   func(ctx context.Context, job jobArgs) error
	batch func(ctx context.Context, jobs []jobArgs) error
	// copy is the same by COPY, and sql one job through plain SQL; nil where there is none.
	copy func(ctx context.Context, jobs []jobArgs) error
	sql  func(ctx context.Context, job jobArgs) error
}

// bulk enqueues many jobs in the fastest way that the system has.
func (p producer) bulk(ctx context.Context, jobs []jobArgs) error {
	if p.copy != nil {
		return p.copy(ctx, jobs)
	}
	return p.batch(ctx, jobs)
}

// allSystems are compared, in this order in the first round.
var allSystems []system

// A function, since systems and worker processes know each other.
func init() { allSystems = []system{understudySystem(), riverSystem(), gueSystem()} }

func systemOf(key string) (system, error) {
	for _, s := range allSystems {
		if s.key == key {
			return s, nil
		}
	}
	return system{}, fmt.Errorf("there is no system %q: use one of %s", key, names(allSystems, system.name))
}

// none makes an idle of a statement that finds jobs.
func none(sql string) func(context.Context, *pgxpool.Pool, int) (bool, error) {
	return func(ctx context.Context, db *pgxpool.Pool, _ int) (idle bool, err error) {
		return idle, db.QueryRow(ctx, "SELECT NOT EXISTS ("+sql+")").Scan(&idle)
	}
}

// writes makes a writer of a statement that takes the number of rows.
func writes(sql string) writer {
	return func(ctx context.Context, db *pgxpool.Pool, rows int) error {
		_, err := db.Exec(ctx, sql, rows)
		return err
	}
}

// completed counts the jobs that the server has as completed, of those that
// were enqueued.
func (s system) completed(ctx context.Context, db *pgxpool.Pool, enqueued int) (int, error) {
	var n int
	if s.finishedSQL != "" {
		return n, db.QueryRow(ctx, s.finishedSQL).Scan(&n)
	}
	err := db.QueryRow(ctx, s.openSQL).Scan(&n)
	return enqueued - n, err
}

// verify checks by full counts that the jobs, and no others, are completed.
// Those of before are finished rows that no worker made.
func (s system) verify(ctx context.Context, db *pgxpool.Pool, jobs, before int) error {
	done, err := s.completed(ctx, db, jobs)
	if err != nil {
		return err
	}
	if done != jobs+before {
		return fmt.Errorf("%s has %d completed jobs on the server, want %d", s.title, done, jobs+before)
	}
	return nil
}
