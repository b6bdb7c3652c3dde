package history

import (
	"time"

	"github.com/understudy-worker/understudy/store"
)

const (
	// waitTime is the longest that a claimed job waits for its run: its worker
	// gives it back after a second.
	waitTime = 2 * time.Second
	// writeTime is the longest that an outcome takes to be written to a server
	// that answers.
	writeTime = 2 * time.Second
)

// outcomes checks that every run lies within its epoch, and that what its
// handler returned was recorded.
func (j *judge) outcomes() {
	for _, r := range j.runs {
		j.withinEpoch(r)
		j.recorded(r)
		if r.Outcome == "" && !r.process.Ended.IsZero() && !r.process.Killed && r.process.Exit == 0 {
			j.blame("%s had not ended when its process did in good order", r)
		}
	}
}

// withinEpoch checks that the run began while its epoch lasted. A process that
// wakes up after its lease may begin one before it notices.
func (j *judge) withinEpoch(r *run) {
	slack := r.place.Uncertainty
	switch {
	case r.claimed.Before(r.epoch.started.Add(-slack)):
		j.blame("%s was claimed at %s, before %s began", r, clock(r.claimed), r.epoch)
	case !r.claimed.After(r.epoch.ended.Add(slack)):
	case r.epoch.State != "lost" || !anyTouches(r.process.Frozen, r.epoch.started, r.StartedAt):
		j.blame("%s was claimed at %s, after %s had ended", r, clock(r.claimed), r.epoch)
	}
}

// recorded checks that what the handler returned is an attempt of the job, if
// the epoch lived to record it. What was cut short or put off is none.
func (j *judge) recorded(r *run) {
	due := r.process.awake(r.until, writeTime)
	switch {
	case r.epoch.State != "ended":
		return
	case r.Outcome != OutcomeCompleted && r.Outcome != OutcomeFailed && r.Outcome != OutcomeDiscarded:
		return
	case anyTouches(r.place.Crashed, r.claimed.Add(-waitTime), due):
		return // the claim went with the server, and fenced the outcome
	case anyTouches(r.place.Cut, r.until, due):
		return // the worker may have given the outcome up with its lease, and still ended its epoch
	}
	job := r.place.jobs[r.JobID]
	a := r.attempt(job)
	switch {
	case a == nil && len(job.Attempts) >= keptAttempts && r.Attempt < job.Attempts[0].Number:
		// It is no longer kept.
	case a == nil:
		j.blame("%s ended %s in an epoch that lived on, and is no attempt of the job", r, r.Outcome)
	case (a.Error == "") != (r.Outcome == OutcomeCompleted) && !(a.Error == "" && j.EffectKinds[r.Kind]):
		j.blame("%s ended %s, and is recorded with error %q", r, r.Outcome, a.Error)
	}
}

// attempt is the attempt that the run was; nil where it is none.
func (r *run) attempt(job *store.JobRow) *store.Attempt {
	for i := range job.Attempts {
		if a := &job.Attempts[i]; r.is(a) {
			return a
		}
	}
	return nil
}
