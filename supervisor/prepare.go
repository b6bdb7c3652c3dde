package supervisor

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/understudy-worker/understudy/reload"
)

// Bounds of the pause between two attempts to open a target.
const (
	firstPause = 200 * time.Millisecond
	lastPause  = time.Second
)

// preparation opens one target in the background.
type preparation struct {
	target  reload.Target
	cancel  context.CancelFunc
	started time.Time
	done    chan prepared // receives once
}

// prepared is what a preparation came to; both are nil when it was cancelled.
type prepared struct {
	place *place
	err   error
}

// prepare starts to open a target. It goes on trying until it is cancelled,
// or until an error shows that the process cannot go on.
func (r *run) prepare(target reload.Target) *preparation {
	ctx, cancel := context.WithCancel(r.background)
	p := &preparation{target: target, cancel: cancel, started: time.Now(), done: make(chan prepared, 1)}
	r.tasks.Go(func() {
		defer cancel()
		place, err := r.keepOpening(ctx, target)
		p.done <- prepared{place, err}
	})
	return p
}

func (r *run) keepOpening(ctx context.Context, target reload.Target) (*place, error) {
	pause := firstPause
	var waits patience
	for {
		place, err := r.openOnce(ctx, target, &waits)
		err = ExplainPooler(target, err)
		if err == nil || ctx.Err() != nil || isFatal(err) {
			if ctx.Err() != nil {
				err = nil
			}
			return place, err
		}
		r.status.problem(target, err)
		r.Log.Warn("target is not ready", "target", target.Name, "schema", target.Schema, "err", err, "retry_in", pause.String())
		if !wait(ctx, pause/2+rand.N(pause)) {
			return nil, nil
		}
		pause = min(2*pause, lastPause)
	}
}

// openOnce connects to the target, makes sure that no other target is the same
// place and served before it, and has it made ready.
func (r *run) openOnce(ctx context.Context, target reload.Target, waits *patience) (*place, error) {
	p, err := open(ctx, target, r.Lease, r.Tracer, r.KeepSession, waits)
	if err != nil {
		return nil, err
	}
	var found *SamePlaceError
	if err = r.apart(ctx, connected{target, p.pool, p.where}); errors.As(err, &found) && !found.Refused {
		p.notice, err = err, nil
	}
	if err == nil && r.Prepare != nil {
		err = r.Prepare(ctx, p.pool, target)
	}
	if err != nil {
		p.pool.Close()
		return nil, err
	}
	return p, nil
}

// wait pauses and says whether ctx lasted.
func wait(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
