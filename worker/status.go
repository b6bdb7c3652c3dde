package worker

import (
	"slices"
	"time"

	"github.com/understudy-worker/understudy"
)

// What a worker is doing, as Status says it.
const (
	StateNew      = "new"      // Run was not called
	StateOpening  = "opening"  // the epoch is being opened
	StateServing  = "serving"  // claims and works jobs
	StateDraining = "draining" // claims no more, finishes what it has
	StateEnded    = "ended"    // Run has returned
)

// State is Status().State, at less cost.
func (w *Worker) State() string { return *w.state.Load() }

// Status says what the worker does now. It may be called at any time.
func (w *Worker) Status() understudy.WorkerStatus {
	counts := w.recorder.status()
	status := understudy.WorkerStatus{
		State:      w.State(),
		Running:    w.runningJobs(),
		Claimed:    w.claimed.Load(),
		Recorded:   map[string]int64{},
		Unrecorded: counts.unrecorded,
		Fenced:     counts.fenced,
		Abandoned:  counts.abandoned,
		RenewedAt:  w.lease.last(),
		Failing:    w.chores.status(),
		Obstacles:  w.needs.obstacles(),
	}
	for _, verdict := range understudy.Verdicts {
		status.Recorded[verdict.String()] = counts.recorded[verdict]
	}
	for _, l := range w.lines {
		buffered, running := l.buffer.counts()
		status.Queues = append(status.Queues, understudy.QueueStatus{
			Queue: l.queue, Concurrency: l.concurrency, Running: running, Buffered: buffered,
		})
	}
	return status
}

// Obstacle is what has kept the worker for longest from finishing what it might
// begin, if something has for a sixth of the lease or more.
func (w *Worker) Obstacle() (o understudy.Obstacle, ok bool) {
	all := w.needs.obstacles()
	if len(all) == 0 || time.Since(all[0].Since) < patience(w.options.Lease) {
		return o, false
	}
	return all[0], true
}

// runningJobs lists the jobs whose handler runs, the longest first.
func (w *Worker) runningJobs() []understudy.RunningJob {
	jobs := []understudy.RunningJob{}
	for _, l := range w.lines {
		for _, s := range l.slots {
			if job, ok := s.status(); ok {
				jobs = append(jobs, job)
			}
		}
	}
	slices.SortStableFunc(jobs, func(a, b understudy.RunningJob) int { return a.Started.Compare(b.Started) })
	return jobs
}

func (s *slot) status() (understudy.RunningJob, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.job == nil {
		return understudy.RunningJob{}, false
	}
	return understudy.RunningJob{
		ID: s.job.ID, Queue: s.job.Queue, Kind: s.job.Kind, Attempt: s.job.Attempt,
		Started: s.started, Age: time.Since(s.started),
	}, true
}

func (r *recorder) status() outcomeCounts {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts
}

func (w *Worker) setState(state string) { w.state.Store(&state) }
