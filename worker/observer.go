package worker

import (
	"time"

	"github.com/understudy-worker/understudy"
)

// Observer is told what a worker does, for metrics. Its methods are called
// from many goroutines, on the path of every job: they return at once.
type Observer interface {
	// Claimed tells of a claim: how many jobs were asked for and came.
	Claimed(queue string, asked, got int, err error)
	// Started tells that a handler is about to be called, and how long the
	// job had been due, by the database's clock.
	Started(job *understudy.Job, wait time.Duration)
	// Finished tells how a job that was started ended, or that one was
	// cancelled before it started, which took 0. It is not recorded yet.
	Finished(outcome understudy.Outcome, took time.Duration)
	// Recorded tells of one write of outcomes.
	Recorded(outcomes int, took time.Duration, err error)
	// Fenced tells of outcomes that were refused, as others have the jobs now.
	Fenced(outcomes int)
	// Renewed tells of a renewal of the lease.
	Renewed(err error)
	// Rescued tells of jobs that were taken back from lost workers.
	Rescued(jobs int)
	// Housekept tells of one try of a task of housekeeping: TaskPromote,
	// TaskRescue or TaskPrune.
	Housekept(task string, err error)
}

// NoObserver looks away. Embed it to observe only some of it.
type NoObserver struct{}

// Claimed does nothing.
func (NoObserver) Claimed(string, int, int, error) {}

// Started does nothing.
func (NoObserver) Started(*understudy.Job, time.Duration) {}

// Finished does nothing.
func (NoObserver) Finished(understudy.Outcome, time.Duration) {}

// Recorded does nothing.
func (NoObserver) Recorded(int, time.Duration, error) {}

// Fenced does nothing.
func (NoObserver) Fenced(int) {}

// Renewed does nothing.
func (NoObserver) Renewed(error) {}

// Rescued does nothing.
func (NoObserver) Rescued(int) {}

// Housekept does nothing.
func (NoObserver) Housekept(string, error) {}
