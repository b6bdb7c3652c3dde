package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/understudy-worker/understudy/internal/pause"
)

// swapMeasure changes the role of a worker's pod, and asks how soon the first
// job begins on the other target.
var swapMeasure = measure{
	key:     "swap",
	applies: only(understudyKey),
	run: func(ctx context.Context, t *trial) error {
		idle := swapping{trial: t, swaps: t.sizes.idleSwaps, pause: idleSwapPause}
		if err := idle.run(ctx, "idle", "idle: one job waits on the new target"); err != nil {
			return err
		}
		loaded := swapping{trial: t, swaps: t.sizes.loadSwaps, pause: t.sizes.swapPause, open: t.sizes.swapOpen}
		return loaded.run(ctx, "load", "full load: jobs wait on both")
	},
}

// idleSwapPause is longer than a worker's pause between two reads of its
// files: roles do not change faster than they are read.
const idleSwapPause = 150 * time.Millisecond

// swapping is a series of swaps.
type swapping struct {
	*trial
	swaps int
	pause time.Duration // from one to the next
	open  int           // jobs that both targets have at first; 0 for one job that waits on the new one

	crew      *crew
	producers map[string]producer // by target
	enqueued  map[string]int
	worked    map[string]int // but for those since the last swap
	least     int            // jobs that waited on the old target at the least
}

func (s *swapping) run(ctx context.Context, variant, label string) (err error) {
	d, err := s.server.database(ctx, s.system)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.drop()) }()
	db, err := pool(ctx, d.dsn, 1, ownApplication)
	if err != nil {
		return err
	}
	defer db.Close()
	s.producers, s.enqueued, s.worked = map[string]producer{}, map[string]int{}, map[string]int{}
	for _, target := range targets {
		if s.producers[target], err = understudyProducer(db, target); err != nil {
			return err
		}
	}
	swaps, err := s.all(ctx, d)
	if err != nil {
		return err
	}
	if err := s.verify(ctx, d); err != nil {
		return err
	}
	return s.keep(variant, label, map[string]int{"swaps": len(swaps), "concurrency": s.concurrency()}, s.figures(swaps))
}

// all takes the swaps.
func (s *swapping) all(ctx context.Context, d *database) (swaps []swap, err error) {
	s.crew, err = hire(ctx, assignment{System: s.system.key, DSN: d.dsn, Concurrency: s.concurrency()}, 1)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.crew.dismiss()) }()
	s.least = s.open
	for _, target := range targets {
		if err := s.fill(ctx, target, max(1, s.open)); err != nil {
			return nil, err
		}
	}
	if err := d.settle(ctx); err != nil {
		return nil, err
	}
	if err := s.crew.begin(); err != nil {
		return nil, err
	}
	if err := s.crew.wait(ctx, 1); err != nil {
		return nil, err
	}
	roles := []string{"active", "preview"}
	for range s.swaps {
		done, ok, err := s.one(ctx, targets[roles[0]], roles[1])
		if err != nil {
			return nil, err
		}
		if ok {
			swaps = append(swaps, done)
		}
		roles[0], roles[1] = roles[1], roles[0]
	}
	if len(swaps) == 0 {
		return nil, errors.New("no job waited on the old target at any swap: give each more jobs at first")
	}
	return swaps, nil
}

// one swaps from a target to the one that another role leads to. At full load
// jobs wait on both; ok says that they did.
func (s *swapping) one(ctx context.Context, from, role string) (done swap, ok bool, err error) {
	due := time.Now().Add(s.pause)
	if err := s.fill(ctx, targets[role], max(1, s.open/swapLow)); err != nil {
		return swap{}, false, err
	}
	if err := pause.For(ctx, time.Until(due)); err != nil {
		return swap{}, false, err
	}
	waiting := s.enqueued[from] - s.worked[from] - s.since()
	done, err = s.crew.swap(ctx, role)
	s.worked[from] += int(done.Worked)
	ok = s.open == 0 || waiting > s.concurrency()
	if ok {
		s.least = min(s.least, waiting)
	}
	return done, ok, err
}

// swapLow is the part of the first jobs that a target has at least when a
// swap leads to it. It is small: jobs that are enqueued meanwhile slow the worker down.
const swapLow = 10

// since is how many jobs were worked since the last swap, all on one target.
func (s *swapping) since() int {
	since := s.crew.done()
	for _, worked := range s.worked {
		since -= worked
	}
	return since
}

// fill enqueues until so many jobs wait on a target that is not worked.
func (s *swapping) fill(ctx context.Context, target string, jobs int) error {
	for missing := jobs - (s.enqueued[target] - s.worked[target]); missing > 0; missing -= fillBatch {
		n := min(missing, fillBatch)
		if err := s.producers[target].batch(ctx, newBatch(s.enqueued[target], n)); err != nil {
			return err
		}
		s.enqueued[target] += n
	}
	return nil
}

// verify checks that no job was lost and none done twice.
func (s *swapping) verify(ctx context.Context, d *database) error {
	for _, target := range targets {
		var finished, open int
		err := d.pool.QueryRow(ctx, fmt.Sprintf(`SELECT (SELECT count(*) FROM %[1]s.finished_jobs WHERE state = 'completed' AND attempt = 1),
    (SELECT count(*) FROM %[1]s.open_jobs WHERE attempt = 0)`, target)).Scan(&finished, &open)
		if err != nil {
			return err
		}
		if finished+open != s.enqueued[target] {
			return fmt.Errorf("%s has %d completed and %d open jobs, want %d together", target, finished, open, s.enqueued[target])
		}
	}
	return nil
}

// figures are how long the swaps took in all, and after the drain.
func (s *swapping) figures(swaps []swap) map[string]float64 {
	var all, after []float64
	for _, one := range swaps {
		all = append(all, float64(one.Started-one.Renamed)/1e6)
		after = append(after, max(0, float64(one.Started-one.Drained)/1e6))
	}
	figures := map[string]float64{}
	for suffix, times := range map[string][]float64{"": all, "_after_drain": after} {
		quantiles := quantiles(times)
		delete(quantiles, "p95")
		for name, value := range maps.All(quantiles) {
			figures[name+suffix+"_ms"] = value
		}
	}
	if s.open > 0 {
		figures["open_least"] = float64(s.least)
	}
	return figures
}
