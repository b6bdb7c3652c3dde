package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/understudy-worker/understudy/internal/pause"
)

// drainRun is jobs that wait and are then worked.
type drainRun struct {
	system      system
	jobs        int
	concurrency int
	sleep       time.Duration // of each handler
	processes   int
	// prepare changes the database before the jobs come, nil for nothing, and
	// returns how many finished rows it has written.
	prepare func(ctx context.Context, d *database) (finished int, err error)
	watch   time.Duration // how often the workers' connections are looked at
}

// drained is what a drain was like.
type drained struct {
	took                 time.Duration
	walEnqueue, walWork  int64
	workerCPU, serverCPU time.Duration // the server's is 0 where it is not known
	tables               tableCosts
	seen                 sightings
}

func (d drained) rate(jobs int) float64 { return float64(jobs) / d.took.Seconds() }

// drain runs it in a new database.
func (s *server) drain(ctx context.Context, r drainRun) (result drained, err error) {
	d, err := s.database(ctx, r.system)
	if err != nil {
		return drained{}, err
	}
	defer func() { err = errors.Join(err, d.drop()) }()
	finished := 0
	if r.prepare != nil {
		if finished, err = r.prepare(ctx, d); err != nil {
			return drained{}, fmt.Errorf("prepare the database: %w", err)
		}
	}
	return r.in(ctx, d, 0, finished)
}

// in runs it in a database that has finished jobs already: some that a worker
// worked, and some that were written as finished.
func (r drainRun) in(ctx context.Context, d *database, worked, finished int) (result drained, err error) {
	enqueueing, err := r.load(ctx, d, worked)
	if err != nil {
		return drained{}, err
	}
	c, err := hire(ctx, assignment{System: r.system.key, DSN: d.dsn, Concurrency: r.concurrency, Sleep: r.sleep}, r.crewSize())
	if err != nil {
		return drained{}, err
	}
	result, err = r.watched(ctx, d, c, worked+finished+r.jobs)
	if err = errors.Join(err, c.dismiss()); err != nil {
		return drained{}, err
	}
	result.walEnqueue = enqueueing
	return result, r.check(ctx, d, &result, worked, finished)
}

func (r drainRun) crewSize() int { return max(r.processes, 1) }

// load enqueues the jobs and returns how much log that wrote.
func (r drainRun) load(ctx context.Context, d *database, worked int) (wal int64, err error) {
	begin, err := walPosition(ctx, d.pool)
	if err != nil {
		return 0, err
	}
	if err := d.fill(ctx, r.system, worked, r.jobs); err != nil {
		return 0, err
	}
	end, err := walPosition(ctx, d.pool)
	if err != nil {
		return 0, err
	}
	return end - begin, d.settle(ctx)
}

// check checks what the drain came to when its workers have gone, and adds
// what its tables have become.
func (r drainRun) check(ctx context.Context, d *database, result *drained, worked, finished int) error {
	if err := r.system.verify(ctx, d.pool, worked+r.jobs, finished); err != nil {
		return err
	}
	allowed := r.system.mostConns(r.concurrency) * r.crewSize()
	if result.seen.connections > allowed {
		return fmt.Errorf("%s held %d connections, and may hold %d: the comparison would not be fair", r.system.title, result.seen.connections, allowed)
	}
	if err := untilAlone(ctx, d); err != nil {
		return err
	}
	var err error
	result.tables, err = costsOfTables(ctx, d.pool)
	return err
}

// watched lets the workers work and looks at their connections meanwhile.
func (r drainRun) watched(ctx context.Context, d *database, c *crew, completed int) (drained, error) {
	watching, stop := context.WithCancel(ctx)
	defer stop()
	var seen sightings
	var watch errgroup.Group
	watch.Go(func() error { return seen.watch(watching, d, cmp.Or(r.watch, lookEvery)) })
	result, err := r.measured(ctx, d, c, completed)
	stop()
	err = errors.Join(err, watch.Wait())
	result.seen = seen
	return result, err
}

// measured lets the workers work until the server has every job as completed.
func (r drainRun) measured(ctx context.Context, d *database, c *crew, completed int) (result drained, err error) {
	before, err := readMeters(ctx, d, c)
	if err != nil {
		return drained{}, err
	}
	began := time.Now()
	if err := c.begin(); err != nil {
		return drained{}, err
	}
	if err := c.wait(ctx, r.jobs); err != nil {
		return drained{}, err
	}
	if err := untilIdle(ctx, r.system, d, completed); err != nil {
		return drained{}, err
	}
	result.took = time.Since(began)
	after, err := readMeters(ctx, d, c)
	if err != nil {
		return drained{}, err
	}
	result.walWork = after.wal - before.wal
	result.workerCPU = after.workers - before.workers
	result.serverCPU = after.server - before.server
	return result, nil
}

// pollEvery is how often the server is asked for what is waited for.
const pollEvery = 5 * time.Millisecond

// untilIdle waits until the server has so many jobs as completed.
func untilIdle(ctx context.Context, s system, d *database, completed int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, standing, errors.New("its worker has handled them, but the server does not have them as completed"))
	defer cancel()
	for idle := false; !idle; {
		var err error
		if idle, err = s.idle(ctx, d.pool, completed); err == nil && !idle {
			err = pause.For(ctx, pollEvery)
		}
		if err != nil {
			return fmt.Errorf("wait until %s has completed %d jobs: %w", s.title, completed, err)
		}
	}
	return nil
}

// meters are what is read before and after.
type meters struct {
	wal             int64
	workers, server time.Duration
}

func readMeters(ctx context.Context, d *database, c *crew) (m meters, err error) {
	first, err := postmaster(ctx, d.pool)
	if err != nil {
		return m, err
	}
	if first != 0 {
		if m.server, err = serverCPU(first); err != nil {
			return m, err
		}
	}
	if m.workers, err = cpuOf(c.pids()); err != nil {
		return m, err
	}
	m.wal, err = walPosition(ctx, d.pool)
	return m, err
}
