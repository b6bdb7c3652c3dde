package supervisor

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/understudy-worker/understudy/reload"
)

// Bounds of the pause between two attempts to open a target.
const (
	firstPause = 200 * time.Millisecond
	lastPause  = time.Second
)

// otherTimeout bounds how long a target waits for another to say where it is:
// a database that is down must not hold up the one that is needed.
const otherTimeout = time.Second

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
	for {
		place, err := r.openOnce(ctx, target)
		err = ExplainPooler(target, err)
		if err == nil || ctx.Err() != nil || isFatal(err) {
			if ctx.Err() != nil {
				err = nil
			}
			return place, err
		}
		r.status.problem(target, err.Error())
		r.Log.Warn("target is not ready", "target", target.Name, "schema", target.Schema, "err", err, "retry_in", pause.String())
		if !wait(ctx, pause/2+rand.N(pause)) {
			return nil, nil
		}
		pause = min(2*pause, lastPause)
	}
}

// openOnce connects to the target, makes sure that no other target is the same
// place, and has it made ready.
func (r *run) openOnce(ctx context.Context, target reload.Target) (*place, error) {
	p, err := open(ctx, target, r.Lease, r.Tracer)
	if err != nil {
		return nil, err
	}
	err = r.apart(ctx, p)
	if err == nil && r.Prepare != nil {
		err = r.Prepare(ctx, p.pool, target)
	}
	if err != nil {
		p.pool.Close()
		return nil, err
	}
	return p, nil
}

// apart makes sure that the place has no other target's name. Targets that do
// not answer in time are compared when they do: before they are served.
func (r *run) apart(ctx context.Context, p *place) error {
	r.places.note(p.target, p.where)
	if r.Targets != nil {
		var asking sync.WaitGroup
		for _, other := range r.Targets() {
			if other.Name != p.target.Name && !r.places.knows(other) {
				asking.Go(func() { r.ask(ctx, other) })
			}
		}
		asking.Wait()
	}
	if twin := r.places.twin(p.target.Name, p.where); twin != "" {
		return Fatal(fmt.Errorf("targets %q and %q are one place: the same server, database and schema %q; give each a schema or a server of its own",
			p.target.Name, twin, p.target.Schema))
	}
	return nil
}

// ask finds out where another target is, if it answers.
func (r *run) ask(ctx context.Context, other reload.Target) {
	ctx, cancel := context.WithTimeout(ctx, otherTimeout)
	defer cancel()
	p, err := open(ctx, other, 0, nil)
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			r.Log.Debug("another target does not answer", "target", other.Name, "err", err)
		}
		return
	}
	p.pool.Close()
	r.places.note(other, p.where)
}

// places remembers where targets are, by their configuration.
type places struct {
	mu    sync.Mutex
	known map[reload.Target]string
}

func (k *places) note(target reload.Target, where string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.known == nil {
		k.known = map[reload.Target]string{}
	}
	for old := range k.known { // its configuration of before counts no more
		if old.Name == target.Name {
			delete(k.known, old)
		}
	}
	k.known[target] = where
}

func (k *places) knows(target reload.Target) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, known := k.known[target]
	return known
}

// twin is the name of another target that is at the same place, if one is.
func (k *places) twin(name, where string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	for other, there := range k.known {
		if other.Name != name && there == where {
			return other.Name
		}
	}
	return ""
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
