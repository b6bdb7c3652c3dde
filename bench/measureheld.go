package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// heldMeasure drains while another session holds a transaction open, under
// which many jobs have passed: no vacuum can remove what they left.
var heldMeasure = measure{
	key:     "held",
	applies: only(understudyKey, riverKey),
	run: func(ctx context.Context, t *trial) (err error) {
		base, err := t.server.drain(ctx, drainRun{system: t.system, jobs: t.sizes.drain, concurrency: t.concurrency()})
		if err != nil {
			return err
		}
		d, err := t.server.database(ctx, t.system)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, d.drop()) }()
		release, err := hold(ctx, d)
		if err != nil {
			return err
		}
		h, err := t.held(ctx, d)
		if err = errors.Join(err, release()); err != nil {
			return err
		}
		baseRate := base.rate(t.sizes.drain)
		if err := t.keep(variantBase, commas(t.sizes.drain)+" waiting jobs alone", map[string]int{"jobs": t.sizes.drain}, map[string]float64{"jobs_per_s": baseRate}); err != nil {
			return err
		}
		return t.keep(variantHeld, "after "+commas(t.sizes.passing)+" under a held snapshot", map[string]int{"passed": h.passed, "wanted": t.sizes.passing},
			map[string]float64{"jobs_per_s": h.rate, "to_base": h.rate / baseRate, "passed": float64(h.passed)})
	},
}

// hold opens a transaction with a snapshot and an id, and keeps it open.
func hold(ctx context.Context, d *database) (release func() error, err error) {
	conn, err := pgx.ConnectConfig(ctx, d.pool.Config().ConnConfig)
	if err != nil {
		return nil, err
	}
	for _, statement := range []string{"BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT txid_current()"} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return nil, errors.Join(fmt.Errorf("hold a transaction: %w", err), conn.Close(ctx))
		}
	}
	return func() error { return conn.Close(context.WithoutCancel(ctx)) }, nil
}

// heldRate is how a drain goes under a held snapshot.
type heldRate struct {
	passed int // jobs that came and went before
	rate   float64
}

// held lets jobs pass and then drains; or, where they do not pass in time,
// sees how fast they go by then.
func (t *trial) held(ctx context.Context, d *database) (h heldRate, err error) {
	through := false
	_, err = t.flowing(ctx, d, func(f *flow) (map[string]float64, error) {
		passing, cancel := context.WithTimeout(ctx, t.sizes.passingTime)
		defer cancel()
		if err := f.run(passing, t.sizes.passing); err != nil {
			return nil, err
		}
		h.passed, through = f.enqueued, f.enqueued == t.sizes.passing
		if through {
			return nil, nil
		}
		h.rate, err = t.rateOver(ctx, d, f, t.sizes.underWatch)
		return nil, err
	})
	if err != nil || !through {
		return h, err
	}
	run := drainRun{system: t.system, jobs: t.sizes.drain, concurrency: t.concurrency()}
	result, err := run.in(ctx, d, h.passed, 0)
	h.rate = result.rate(t.sizes.drain)
	return h, err
}
