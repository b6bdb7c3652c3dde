package store

import (
	"context"
	"time"

	"github.com/understudy-worker/understudy"
)

// Fate is what has become of a job so far, and who works it or finished it.
type Fate struct {
	ID        int64            `json:"id" db:"id"`
	State     understudy.State `json:"state" db:"state"`
	Attempt   int              `json:"attempt" db:"attempt"`
	LastError string           `json:"last_error,omitempty" db:"last_error"`
	// WorkerID and what follows are empty while no worker has the job.
	WorkerID     string `json:"worker_id,omitempty" db:"worker_id"`
	Pod          string `json:"pod,omitempty" db:"pod"`
	Version      string `json:"version,omitempty" db:"version"`
	Role         string `json:"role,omitempty" db:"role"`
	TemplateHash string `json:"template_hash,omitempty" db:"template_hash"`
}

// Fates says what has become of jobs, by id. A job that does not exist has none.
func (s *Store) Fates(ctx context.Context, ids []int64) ([]Fate, error) {
	rows, err := many[Fate](ctx, s, "fates", ids)
	return rows, s.wrap("follow jobs", err)
}

// Live lists every worker whose lease runs, the newest first.
func (s *Store) Live(ctx context.Context) ([]WorkerRow, error) {
	rows, err := many[WorkerRow](ctx, s, "live")
	return rows, s.wrap("list live workers", err)
}

// Now is the time by the database's clock, which decides when a job is due.
func (s *Store) Now(ctx context.Context) (now time.Time, err error) {
	err = s.pool.QueryRow(ctx, s.sql.get("now")).Scan(&now)
	return now, s.wrap("read the clock", err)
}
