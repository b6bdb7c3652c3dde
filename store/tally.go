package store

import (
	"context"

	"github.com/understudy-worker/understudy"
)

// Tally is how many jobs are in each state. Those that are available are due.
type Tally struct {
	Jobs map[understudy.State]int64
	// More are the states of which there may be more than were counted.
	More []understudy.State
}

// Tally counts the jobs by state. Of those that are due, and of those that wait
// for their time, no more than limit are counted: so it is quick however many
// there are. Counts are exact, and by queue and kind, and take their time.
func (s *Store) Tally(ctx context.Context, limit int) (Tally, error) {
	type row struct {
		Read  string           `db:"read"` // where the jobs were counted
		State understudy.State `db:"state"`
		Jobs  int64            `db:"jobs"`
	}
	rows, err := many[row](ctx, s, "tally", limit)
	t := Tally{Jobs: map[understudy.State]int64{}}
	read, soon := map[string]int64{}, int64(0)
	for _, r := range rows {
		if r.Jobs > 0 {
			t.Jobs[r.State] += r.Jobs
		}
		read[r.Read] += r.Jobs
		if r.Read == "later" && r.State == understudy.StateAvailable {
			soon = r.Jobs
		}
	}
	full := int64(limit)
	if read["later"] >= full {
		t.More = append(t.More, understudy.StateScheduled, understudy.StateRetryable)
	}
	if read["ready"] >= full || soon >= full { // what is due comes first
		t.More = append(t.More, understudy.StateAvailable)
	}
	return t, s.wrap("count jobs", err)
}
