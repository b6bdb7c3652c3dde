package store

import (
	"context"
	"time"

	"github.com/understudy-worker/understudy"
)

// RecentJob is a job that runs, or that is finished.
type RecentJob struct {
	ID            int64            `json:"id" db:"id"`
	Kind          string           `json:"kind" db:"kind"`
	State         understudy.State `json:"state" db:"state"`
	AttemptedAt   *time.Time       `json:"attempted_at" db:"attempted_at"` // nil where no attempt was made
	FinalizedAt   *time.Time       `json:"finalized_at" db:"finalized_at"` // nil while it runs
	WorkerVersion string           `json:"worker_version,omitempty" db:"worker_version"`
	WorkerRole    string           `json:"worker_role,omitempty" db:"worker_role"`
}

// At is when the job was finished or, while it runs, when its attempt began.
func (j RecentJob) At() *time.Time {
	if j.FinalizedAt != nil {
		return j.FinalizedAt
	}
	return j.AttemptedAt
}

// recentSpan is among how many finished jobs, for each that is asked for, the
// last ones are looked for.
const recentSpan = 20

// RecentJobs lists the jobs that began or ended last, the last first. A job that
// ends long after others which were enqueued later may be missing. It is cheap
// however many are finished.
func (s *Store) RecentJobs(ctx context.Context, limit int) ([]RecentJob, error) {
	rows, err := many[RecentJob](ctx, s, "recent_jobs", limit, recentSpan*limit)
	for i := range rows {
		for _, t := range []*time.Time{rows[i].AttemptedAt, rows[i].FinalizedAt} {
			if t != nil {
				*t = t.UTC()
			}
		}
	}
	return rows, s.wrap("list recent jobs", err)
}
