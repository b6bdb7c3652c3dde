package supervisor

import (
	"context"
	"time"

	"github.com/understudy-worker/understudy/reload"
)

// epoch is one stretch of one role on one place: Serve, running.
type epoch struct {
	env      Env
	place    *place
	snapshot reload.Snapshot
	since    time.Time
	grace    time.Duration
	cancel   context.CancelFunc
	refused  bool       // its place turned out to be another target's
	done     chan error // receives once, when Serve has returned

	drained time.Time        // when the drain began; zero while it serves
	overdue <-chan time.Time // when the drain must have ended; nil while it serves
}

// startEpoch calls Serve in a goroutine of its own, whose end the loop waits for.
func (r *run) startEpoch(p *place) *epoch {
	ctx, cancel := context.WithCancel(r.background)
	e := &epoch{
		place: p, snapshot: r.wanted, since: time.Now(), grace: r.Grace, cancel: cancel, done: make(chan error, 1),
		env: Env{
			Role: r.wanted.Role, Target: p.target.Name, Schema: p.target.Schema, Version: r.Version, TemplateHash: r.wanted.TemplateHash,
			Pool: p.pool, DrainTimeout: p.target.DrainTimeout, Pooled: p.target.Pooler == reload.PoolerTransaction, met: p.met,
		},
	}
	go func() {
		err := r.Serve(ctx, e.env)
		if err == nil && ctx.Err() == nil {
			err = errReturned
		}
		e.done <- err
	}()
	if r.Targets != nil {
		target := p.target // follow changes it
		r.tasks.Go(func() { r.keepComparing(ctx, p, target) })
	}
	return e
}

// suits says whether the epoch is the one that the snapshot asks for.
func (e *epoch) suits(wanted reload.Snapshot) bool {
	return e.snapshot.Role == wanted.Role && samePlace(e.place.target, wanted.Target)
}

// drain tells Serve to stop. Further calls do nothing: what is wanted may come
// back while it drains, but an epoch that has begun to end ends.
func (e *epoch) drain() {
	if !e.drained.IsZero() {
		return
	}
	e.drained = time.Now()
	e.overdue = time.After(e.env.DrainTimeout + e.grace)
	e.cancel()
}
