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

// Status is what a worker does, and has done, at one moment. It is a copy.
type Status struct {
	State string `json:"state"`
	// Running are the jobs whose handler runs, the longest first.
	Running []RunningJob  `json:"running"`
	Queues  []QueueStatus `json:"queues"`
	// Claimed counts the jobs that claims brought.
	Claimed int64 `json:"claimed"`
	// Recorded counts the outcomes that were recorded, by verdict.
	Recorded map[string]int64 `json:"recorded"`
	// Unrecorded are the outcomes that wait to be recorded.
	Unrecorded int `json:"unrecorded"`
	// Fenced counts outcomes of jobs that the worker no longer held.
	Fenced int64 `json:"fenced"`
	// Abandoned counts outcomes that could not be recorded.
	Abandoned int64 `json:"abandoned"`
	// RenewedAt is just before the last confirmed renewal of the lease was
	// sent, by the worker's clock; zero before the epoch is open.
	RenewedAt time.Time `json:"renewed_at"`
}

// RunningJob is a job whose handler runs.
type RunningJob struct {
	ID      int64         `json:"id"`
	Queue   string        `json:"queue"`
	Kind    string        `json:"kind"`
	Attempt int           `json:"attempt"`
	Started time.Time     `json:"started"` // by the worker's clock
	Age     time.Duration `json:"age_ns"`
}

// QueueStatus is how busy one queue's slots are.
type QueueStatus struct {
	Queue       string `json:"queue"`
	Concurrency int    `json:"concurrency"`
	Running     int    `json:"running"`
	Buffered    int    `json:"buffered"` // claimed, not started
}

// Status says what the worker does now. It may be called at any time.
func (w *Worker) Status() Status {
	counts := w.recorder.status()
	status := Status{
		State:      *w.state.Load(),
		Running:    w.runningJobs(),
		Claimed:    w.claimed.Load(),
		Recorded:   map[string]int64{},
		Unrecorded: counts.unrecorded,
		Fenced:     counts.fenced,
		Abandoned:  counts.abandoned,
		RenewedAt:  w.lease.last(),
	}
	for _, verdict := range understudy.Verdicts {
		status.Recorded[verdict.String()] = counts.recorded[verdict]
	}
	for _, l := range w.lines {
		buffered, running := l.buffer.counts()
		status.Queues = append(status.Queues, QueueStatus{
			Queue: l.queue, Concurrency: l.concurrency, Running: running, Buffered: buffered,
		})
	}
	return status
}

// runningJobs lists the jobs whose handler runs, the longest first.
func (w *Worker) runningJobs() []RunningJob {
	jobs := []RunningJob{}
	for _, l := range w.lines {
		for _, s := range l.slots {
			if job, ok := s.status(); ok {
				jobs = append(jobs, job)
			}
		}
	}
	slices.SortStableFunc(jobs, func(a, b RunningJob) int { return a.Started.Compare(b.Started) })
	return jobs
}

func (s *slot) status() (RunningJob, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.job == nil {
		return RunningJob{}, false
	}
	return RunningJob{
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
