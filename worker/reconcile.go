package worker

import (
	"context"

	"github.com/understudy-worker/understudy"
)

// reconcileClaims compares what the worker knows with the database, after
// each heartbeat and whenever something hints that they differ: claims whose
// reply was lost are returned to their queue, cancelled jobs are stopped.
func (w *Worker) reconcileClaims(holding context.Context) {
	retries := w.retrying("reconcile claims")
	for {
		select {
		case <-holding.Done():
			return
		case <-w.reconcile:
		}
		limited, cancel := context.WithTimeout(holding, w.options.Lease/2)
		found, err := w.options.Queue.Reconcile(limited)
		cancel()
		if err != nil {
			if holding.Err() == nil {
				retries.failure(err) // the next heartbeat asks again
			}
			continue
		}
		retries.success()
		w.reconciled(found)
	}
}

// reconciled acts on what was found.
func (w *Worker) reconciled(found understudy.Reconciled) {
	if found.Reclaimed > 0 {
		w.options.Log.Info("released jobs whose claim had got lost", "jobs", found.Reclaimed)
		w.wakeAll()
	}
	if len(found.CancelRequested) > 0 {
		ids := make(map[int64]bool, len(found.CancelRequested))
		for _, id := range found.CancelRequested {
			ids[id] = true
		}
		w.cancelJobs(ids)
	}
}

// cancelJobs stops those of the jobs that this worker has. One that has not
// started is cancelled here and now; one that runs, when its handler returns.
func (w *Worker) cancelJobs(ids map[int64]bool) {
	for _, l := range w.lines {
		for _, job := range l.buffer.takeThese(ids) {
			outcome := understudy.Outcome{Job: job, Verdict: understudy.Cancelled}
			w.recorder.add(outcome)
			w.options.Observer.Finished(outcome, 0)
		}
		for _, s := range l.slots {
			s.cancelJob(ids)
		}
	}
}
