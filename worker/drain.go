package worker

import (
	"fmt"
	"time"

	"github.com/understudy-worker/understudy"
)

// finish takes the epoch from demotion, or the loss of its lease, to its end.
func (e *epoch) finish() error {
	e.setState(StateDraining)
	e.serving.end()
	e.closeBuffers()
	e.claiming.end()
	if e.unfinished() {
		close(e.lease.draining)
	}
	err := e.awaitHandlers()
	lost := e.lease.isLost()
	e.front.Wait()
	timeout := e.options.OutcomeTimeout
	if err != nil && lost {
		timeout = 0 // others may have the jobs any moment now
	}
	deadline := time.AfterFunc(timeout, e.outcomes.end)
	defer deadline.Stop()
	e.recorder.close()
	e.recording.Wait()
	e.holding.end()
	e.back.Wait()
	return e.end(err)
}

// end ends the epoch, if the time that is left for outcomes allows it, and
// otherwise leaves its lease to run out. One with a stuck handler is left so too.
func (e *epoch) end(stuck error) error {
	defer e.outcomes.end()
	if stuck != nil {
		return stuck
	}
	if err := e.tellEnd(); err != nil {
		e.options.Log.Error("cannot end the epoch: its lease is left to run out", "error", err)
	}
	if e.lease.isLost() {
		return fmt.Errorf("work jobs: %w", understudy.ErrEpochOver)
	}
	return nil
}

// endTries is how often the server is told of the end. One statement may fail
// where the next does not: a connection has died, or a pooler has passed the
// cancelling of another's statement on to this one. A server that is down does not
// hold up the next epoch for longer.
const endTries = 3

// tellEnd tells the server that the epoch has ended.
func (e *epoch) tellEnd() error {
	retries := e.retrying("end the epoch")
	for tries := 1; ; tries++ {
		err := e.options.Queue.End(e.outcomes)
		if err == nil || tries == endTries || e.lease.isLost() || e.outcomes.Err() != nil {
			return err
		}
		retries.pause(e.outcomes, err)
	}
}

// closeBuffers ends the slots once they are done, and releases what none has begun.
func (e *epoch) closeBuffers() {
	for _, l := range e.lines {
		e.release(l.buffer.takeAll())
	}
}

// unfinished says whether a handler runs or an outcome waits to be written. A
// drain without either is over at once: to tell the server of it would only have
// the end of the epoch wait for the renewal that says so.
func (e *epoch) unfinished() bool {
	for _, l := range e.lines {
		if _, running := l.buffer.counts(); running > 0 {
			return true
		}
	}
	return e.recorder.status().unrecorded > 0
}

// awaitHandlers waits until every slot has ended. At the drain's deadline it
// cuts the jobs short, and when the lease is lost, at once. It returns a
// StuckError when a handler goes on all the same.
func (e *epoch) awaitHandlers() error {
	d := drain{Worker: e.Worker, until: time.Now().Add(e.options.DrainTimeout)}
	lost := e.lease.lost
	for {
		alarm := time.NewTimer(time.Until(d.until))
		select {
		case <-e.idle:
			alarm.Stop()
			return nil
		case <-lost:
			lost = nil
			d.tell(ErrLeaseLost, e.options.Lease/4)
		case <-alarm.C:
			if d.cause == nil {
				d.tell(ErrDrained, e.options.HardStop)
			} else if jobs := e.runningJobs(); len(jobs) > 0 {
				return &StuckError{Jobs: jobs, Cause: d.cause, After: time.Since(d.told)}
			} else {
				d.until = time.Now().Add(e.options.HardStop) // they have just returned
			}
		}
		alarm.Stop()
	}
}

// drain is what is left to wait for handlers.
type drain struct {
	*Worker
	until time.Time // when they are told to stop, or found to be stuck
	told  time.Time // when they were told to
	cause error     // why
}

// tell ends the contexts of all jobs. Those that were ended before keep their
// cause, and their deadline unless it is now earlier.
func (d *drain) tell(cause error, grace time.Duration) {
	for _, l := range d.lines {
		for _, s := range l.slots {
			s.halt(cause)
		}
	}
	now := time.Now()
	if until := now.Add(grace); d.cause == nil || until.Before(d.until) {
		d.until = until
	}
	if d.cause == nil {
		d.told, d.cause = now, cause
	}
}
