package supervisor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/reload"
)

// Supervisor leads one process through its roles. Make it with New.
type Supervisor struct {
	Options
	status status
	ticked atomic.Int64 // when the loop last went round, in nanoseconds since the epoch
}

// New checks the options. It starts nothing.
func New(options Options) (*Supervisor, error) {
	if err := options.check(); err != nil {
		return nil, err
	}
	if options.Grace == 0 {
		options.Grace = defaultGrace
	}
	s := &Supervisor{Options: options}
	s.status.set(func(now *understudy.Status) { now.Phase = understudy.PhaseStarting })
	return s, nil
}

// Status is what the process is doing now.
func (s *Supervisor) Status() understudy.Status { return s.status.get() }

// Ticked is when the supervisor's loop last went round: at least every second
// while Run lasts, whatever databases and migrations do.
func (s *Supervisor) Ticked() time.Time { return time.Unix(0, s.ticked.Load()) }

const tick = time.Second

// closeTimeout is how long a pool may take to close once nothing should use it.
const closeTimeout = 5 * time.Second

// Run serves what the snapshots say until ctx ends: that is a demotion, after
// which it returns nil. Any error means that the process has to end.
func (s *Supervisor) Run(ctx context.Context) error {
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r := &run{Supervisor: s, background: background, failed: make(chan error, 1), compared: make(chan compared)}
	err := r.loop(ctx)
	cancel()
	err = r.close(err)
	s.status.set(func(now *understudy.Status) {
		*now = understudy.Status{Phase: understudy.PhaseStopped}
	})
	return err
}

// run is the state of one Run. The loop's goroutine owns it, but for what is
// said to be shared.
type run struct {
	*Supervisor
	background context.Context // ends with Run, not with Run's ctx
	tasks      sync.WaitGroup  // preparations, and pools that are closing
	failed     chan error      // shared: errors of tasks that the process cannot outlive
	places     places          // shared
	compared   chan compared   // shared: what keepComparing found

	wanted   reload.Snapshot
	changed  time.Time // when wanted last changed
	known    bool      // whether there has been a snapshot
	stopping bool

	opening *preparation
	ready   *place           // open, and not served yet
	epoch   *epoch           // under way
	resting <-chan time.Time // after an epoch that failed; nil otherwise
	pause   time.Duration    // how long the last rest was
}

func (r *run) loop(ctx context.Context) error {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	stop := ctx.Done()
	for {
		r.ticked.Store(time.Now().UnixNano())
		r.reconcile()
		if r.stopping && r.epoch == nil {
			return nil
		}
		select {
		case <-stop:
			stop, r.stopping = nil, true
			r.want(reload.Snapshot{})
		case snapshot := <-r.snapshots():
			r.known = true
			r.want(snapshot)
		case result := <-r.openingDone():
			if err := r.opened(result); err != nil {
				return r.abandon(err)
			}
		case err := <-r.epochDone():
			if err := r.ended(err); err != nil {
				return err
			}
		case <-r.epochOverdue():
			return fmt.Errorf("target %q: its work did not end within the drain timeout of %s and %s more: the process has to end",
				r.epoch.env.Target, r.epoch.env.DrainTimeout, r.Grace)
		case result := <-r.compared:
			r.heed(result)
		case err := <-r.failed:
			return r.abandon(err)
		case <-r.resting:
			r.resting = nil
		case <-ticker.C:
		}
	}
}

// snapshots is silent once the process is stopping.
func (r *run) snapshots() <-chan reload.Snapshot {
	if r.stopping {
		return nil
	}
	return r.Snapshots
}

// want notes what is wanted from now on.
func (r *run) want(snapshot reload.Snapshot) {
	if snapshot == r.wanted {
		return
	}
	r.wanted, r.changed = snapshot, time.Now()
	r.resting = nil
}

// reconcile takes whatever step leads from what is to what is wanted. It never
// waits: each step's end comes back to the loop.
func (r *run) reconcile() {
	if r.epoch != nil && r.epoch.drained.IsZero() && !r.epoch.suits(r.wanted) {
		r.logEpoch("draining")
		r.epoch.drain()
	}
	r.release()
	r.acquire()
	if r.epoch == nil && r.ready != nil && r.resting == nil {
		r.begin()
	}
	r.report()
}

// release gives up what is no longer wanted.
func (r *run) release() {
	if r.opening != nil && !samePlace(r.opening.target, r.wanted.Target) {
		r.discard(r.opening)
		r.opening = nil
	}
	if r.ready != nil && !samePlace(r.ready.target, r.wanted.Target) {
		r.closePool(r.ready)
		r.ready = nil
	}
}

// acquire sees that the wanted place is open, or being opened, and that it
// uses the login of now.
func (r *run) acquire() {
	target := r.wanted.Target
	if target.DSN == "" { // nothing to serve, or nothing that can be
		return
	}
	switch {
	case r.ready != nil:
		r.ready.follow(target)
	case r.epoch != nil && samePlace(r.epoch.place.target, target):
		r.epoch.place.follow(target)
	case r.opening != nil && r.opening.target == target:
	default:
		if r.opening != nil { // another login: start again with it
			r.discard(r.opening)
		}
		r.opening = r.prepare(target)
	}
}

// opened takes over a place that is ready, or the error that shows that the
// process cannot go on.
func (r *run) opened(result prepared) error {
	started := r.opening.started
	r.opening, r.ready = nil, result.place
	if result.err == nil {
		r.status.clear()
		r.observe("open", time.Since(started))
	}
	return result.err
}

// heed ends an epoch whose place turned out to be another target's, which comes
// before it. Where the other one has to give way, it notes that.
func (r *run) heed(result compared) {
	e, found := r.epoch, result.found
	if e == nil || e.place != result.place || !e.drained.IsZero() {
		return
	}
	switch {
	case found == nil:
		e.place.notice = nil
	case found.Refused:
		r.Log.Error("the target must not be served", "target", e.env.Target, "role", e.env.Role, "err", found)
		r.status.problem(e.place.target, found)
		e.refused = true
		e.drain()
	default:
		if before := e.place.notice; before == nil || before.Error() != found.Error() {
			r.Log.Warn("another target will not be served", "err", found)
		}
		e.place.notice = found
	}
}

// begin starts an epoch on the place that is ready.
func (r *run) begin() {
	r.epoch = r.startEpoch(r.ready)
	r.ready = nil
	if notice := r.epoch.place.notice; notice != nil {
		r.Log.Warn("another target will not be served", "err", notice)
	}
	r.observe("swap", time.Since(r.changed))
	r.logEpoch("epoch begins")
}

// ended clears up after an epoch. Its place is kept if it is wanted again.
func (r *run) ended(err error) error {
	e := r.epoch
	r.epoch = nil
	if isFatal(err) {
		r.closePool(e.place)
		return err
	}
	if e.drained.IsZero() {
		r.rest(e, err)
	} else {
		if !e.refused {
			r.status.clear()
		}
		r.observe("drain", time.Since(e.drained))
		r.Log.Info("drained", "role", e.env.Role, "target", e.env.Target, "took", time.Since(e.drained).String())
		if err != nil {
			r.Log.Error("epoch ended with an error", "target", e.env.Target, "role", e.env.Role, "err", err)
		}
	}
	if samePlace(e.place.target, r.wanted.Target) && !e.refused {
		r.ready = e.place
	} else {
		r.closePool(e.place)
	}
	return nil
}

// rest puts the next epoch off for a while, the longer the more epochs in a
// row have failed at once.
func (r *run) rest(e *epoch, err error) {
	if time.Since(e.since) > lastPause {
		r.pause = 0
	}
	r.pause = min(max(2*r.pause, firstPause), lastPause)
	r.resting = time.After(r.pause)
	r.status.problem(e.place.target, err)
	r.Log.Error("epoch ended before its time", "target", e.env.Target, "role", e.env.Role, "err", err, "retry_in", r.pause.String())
}

// abandon ends whatever runs, after an error that the process cannot outlive.
func (r *run) abandon(err error) error {
	if r.epoch != nil {
		r.epoch.drain()
		select {
		case <-r.epoch.done:
			r.closePool(r.epoch.place)
		case <-r.epochOverdue():
		}
	}
	return err
}

// discard cancels a preparation and closes what it may have opened by then.
func (r *run) discard(p *preparation) {
	p.cancel()
	r.tasks.Go(func() {
		if result := <-p.done; result.place != nil {
			result.place.pool.Close()
		}
	})
}

// closePool closes a pool in the background.
func (r *run) closePool(p *place) {
	r.tasks.Go(func() {
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			p.pool.Close()
		}()
		select {
		case <-closed:
		case <-time.After(closeTimeout):
			// A handler kept a connection to a target that is not this
			// process's any more: only the end of the process takes it back.
			err := fmt.Errorf("target %q: %d connections were not given back when its work ended: the process has to end",
				p.target.Name, p.pool.Stat().AcquiredConns())
			select {
			case r.failed <- err:
			default:
			}
		}
	})
}

// close waits for what Run has started. After an error the process is to end,
// whatever hangs, so that the wait is bounded.
func (r *run) close(err error) error {
	r.wanted = reload.Snapshot{}
	r.release()
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		r.tasks.Wait()
	}()
	var patience <-chan time.Time
	if err != nil {
		patience = time.After(closeTimeout + time.Second)
	}
	select {
	case <-finished:
	case <-patience:
	}
	select {
	case late := <-r.failed:
		return errors.Join(err, late)
	default:
		return err
	}
}

func (r *run) logEpoch(what string) {
	env := r.epoch.env
	r.Log.Info(what, "role", env.Role, "target", env.Target, "schema", env.Schema)
}

func (r *run) observe(phase string, took time.Duration) {
	if r.Observe != nil {
		r.Observe(phase, took)
	}
}

func (r *run) openingDone() <-chan prepared {
	if r.opening == nil {
		return nil
	}
	return r.opening.done
}

func (r *run) epochDone() <-chan error {
	if r.epoch == nil {
		return nil
	}
	return r.epoch.done
}

func (r *run) epochOverdue() <-chan time.Time {
	if r.epoch == nil {
		return nil
	}
	return r.epoch.overdue
}

var errReturned = errors.New("the epoch's work returned while its role lasted")
