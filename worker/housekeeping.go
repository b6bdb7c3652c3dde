package worker

import (
	"context"
	"errors"
	"time"
)

const (
	// pruneInterval is about how often finished jobs are pruned.
	pruneInterval = time.Minute
	// minPromoteWait keeps due jobs that another worker is promoting from
	// being asked for without pause.
	minPromoteWait = 20 * time.Millisecond
)

// promote makes scheduled jobs claimable when their time has come: at each
// poll interval, and when the next one that is known of is due.
func (w *Worker) promote(serving context.Context) {
	retries := w.retrying("promote scheduled jobs")
	for serving.Err() == nil {
		done, err := w.options.Queue.Promote(serving)
		if err != nil && serving.Err() != nil {
			return
		}
		w.housekept(TaskPromote, err)
		if err != nil {
			retries.pause(serving, err)
			continue
		}
		retries.success()
		if done.Promoted > 0 {
			w.wakeAll()
			continue // there may be more
		}
		wait := jitter(w.options.PollInterval)
		if done.NextDue >= 0 {
			wait = min(wait, max(done.NextDue, minPromoteWait))
		}
		sleep(serving, wait)
	}
}

// rescues is how often a worker looks for the jobs of lost ones over the length of
// its own lease.
const rescues = 6

// tidy rescues jobs of lost workers, first soon after the start, and prunes
// finished ones.
func (w *Worker) tidy(serving context.Context) {
	interval := w.options.Lease / rescues
	rescuing, prunes := w.retrying("rescue jobs"), w.retrying("prune finished jobs")
	prune := time.Now().Add(jitter(pruneInterval))
	for wait := jitter(interval / 10); sleep(serving, wait); wait = jitter(interval) {
		w.rescue(serving, &rescuing)
		if time.Until(prune) > 0 || serving.Err() != nil {
			continue
		}
		prune = time.Now().Add(jitter(pruneInterval))
		err := w.options.Queue.Prune(serving)
		if err != nil && serving.Err() != nil {
			return
		}
		w.housekept(TaskPrune, err)
		if err == nil {
			prunes.success()
		} else {
			prunes.failure(err)
		}
	}
}

// rescue takes the jobs of lost workers back.
func (w *Worker) rescue(serving context.Context, retries *retries) {
	jobs, err := w.options.Queue.Rescue(serving)
	if err != nil && serving.Err() != nil {
		return
	}
	w.housekept(TaskRescue, err)
	if err != nil {
		retries.failure(err)
		return
	}
	retries.success()
	if jobs > 0 {
		w.options.Observer.Rescued(jobs)
		w.options.Log.Info("took jobs back from lost workers", "jobs", jobs)
		w.wakeAll()
	}
}

// errListenEnded stands for a Listen that returned by itself.
var errListenEnded = errors.New("the connection was closed")

// listen turns notifications into looks at the queues and at cancellations,
// and connects again when the connection is lost.
func (w *Worker) listen(holding context.Context) {
	retries := w.needing("listen for notifications", false)
	wake := func() {
		retries.success()
		w.wakeAll()
	}
	cancel := func() { nudge(w.reconcile) }
	for holding.Err() == nil {
		err := w.options.Queue.Listen(holding, wake, cancel)
		if holding.Err() != nil {
			return
		}
		if err == nil {
			err = errListenEnded
		}
		retries.pause(holding, err)
	}
}
