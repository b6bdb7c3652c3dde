package demo

import (
	"slices"
	"sync"
	"time"

	"github.com/understudy-worker/understudy/internal/rollout"
	"github.com/understudy-worker/understudy/store"
)

// record is what is known of a run: what the demo itself did and stamped with
// the database's clock, and what the database says. It is what check judges.
type record struct {
	stints  []stint
	ledgers []ledger
	killed  []string // epochs whose process was killed on purpose
}

// stint is a stretch of one pod in one role.
type stint struct {
	revision rollout.Revision
	role     string
	from     time.Time // from before the label was written
	to       time.Time // to after the next one was, or the pod was told to end; zero while it lasts
}

// ledger is what one schema says.
type ledger struct {
	schema string
	// role is the only role that works here, and hash the only revision; ""
	// for every revision.
	role, hash string
	// attended says that somebody worked here until the end, so that no job
	// may still wait.
	attended bool
	enqueued []int64 // what the demo enqueued
	jobs     []store.JobRow
	epochs   []store.WorkerRow
}

// recorder collects a record. It is safe for concurrent use.
type recorder struct {
	mu     sync.Mutex
	stints []stint
	killed []string
}

// enter notes that a pod began a stint at that time. It returns the stint's
// number, for leave.
func (r *recorder) enter(rev *rollout.Revision, role string, from time.Time) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stints = append(r.stints, stint{revision: *rev, role: role, from: from})
	return len(r.stints) - 1
}

// noStint is the number of no stint.
const noStint = -1

// leave notes when a stint was over. Only the first call counts.
func (r *recorder) leave(number int, to time.Time) {
	if number == noStint {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := &r.stints[number]; s.to.IsZero() {
		s.to = to
	}
}

// kill notes that the process of an epoch was killed.
func (r *recorder) kill(epoch string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.killed = append(r.killed, epoch)
}

// wasKilled says whether an epoch's process was killed on purpose.
func (r *recorder) wasKilled(epoch string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Contains(r.killed, epoch)
}

// now is the role that a revision's pod has, if one runs.
func (r *recorder) now(rev *rollout.Revision) (role string, runs bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range slices.Backward(r.stints) {
		if s.revision == *rev {
			return s.role, s.to.IsZero()
		}
	}
	return rollout.RoleNone, false
}

// latest is the last stint of a revision in a role; zero without one.
func (r *recorder) latest(rev *rollout.Revision, role string) stint {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range slices.Backward(r.stints) {
		if s.revision == *rev && s.role == role {
			return s
		}
	}
	return stint{}
}

// record is what was collected, with what the schemas say.
func (r *recorder) record(ledgers []ledger) *record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &record{
		stints: slices.Clone(r.stints), killed: slices.Clone(r.killed), ledgers: ledgers,
	}
}
