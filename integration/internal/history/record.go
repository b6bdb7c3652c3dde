package history

import (
	"time"

	"github.com/understudy-worker/understudy/store"
)

// Record is all that is known of a test's run. Times are by the tester's
// clock, which is the workers' too, but for those that a database gave.
type Record struct {
	Places    []Place
	Runs      []Run // of all ledgers
	Stints    []Stint
	Processes []Process
	// EffectKinds are the kinds whose handler completes its job through
	// CompleteTx, with one effect.
	EffectKinds map[string]bool
	// MaxLosses is the workers' worker.max_losses; 0 for its default.
	MaxLosses int
}

// defaultMaxLosses is the default of worker.max_losses.
const defaultMaxLosses = 5

// Place is one schema of one database of one server, and what it says in the
// end: see Read.
type Place struct {
	Name   string          // as the ledgers call it
	Schema string          // its schema
	Roles  map[string]bool // those that map to it
	// Unattended says that nobody worked here in the end, so that jobs may
	// still wait and epochs go unnoticed.
	Unattended bool
	Enqueued   []int64    // jobs that the database acknowledged
	Crashed    []Interval // from before the server was killed until it was up again
	Cut        []Interval // while a worker could not reach the server, or not in time, or it was frozen

	Jobs    []store.JobRow
	Epochs  []store.WorkerRow
	Effects []Effect

	// Offset is how far the database's clock is ahead of the tester's, give or
	// take Uncertainty: see MeasureClock.
	Offset, Uncertainty time.Duration
}

// Effect is a row that a handler wrote in the transaction that completed its job.
type Effect struct {
	JobID int64  `db:"job_id"`
	Pod   string `db:"pod"`
}

// Stint is a stretch of one pod in one role.
type Stint struct {
	Pod, Role string
	From      time.Time // from before the label was written
	To        time.Time // to after the next one was; zero while it lasts
}

// Process is one process of a pod.
type Process struct {
	Pod     string
	N       int // the pod's n-th, from 1
	Started time.Time
	Ended   time.Time // zero while it lives
	Killed  bool      // by SIGKILL
	Exit    int       // its exit code
	Frozen  []Interval
}

// Interval is a stretch of time. Its To is zero while it lasts.
type Interval struct{ From, To time.Time }
