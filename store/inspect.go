package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/understudy-worker/understudy"
)

// JobRow is a job as the view jobs shows it.
type JobRow struct {
	ID              int64            `json:"id" db:"id"`
	Queue           string           `json:"queue" db:"queue"`
	Kind            string           `json:"kind" db:"kind"`
	Args            json.RawMessage  `json:"args" db:"args"`
	State           understudy.State `json:"state" db:"state"`
	Priority        int              `json:"priority" db:"priority"`
	ScheduledAt     time.Time        `json:"scheduled_at" db:"scheduled_at"`
	Attempt         int              `json:"attempt" db:"attempt"`
	MaxAttempts     int              `json:"max_attempts" db:"max_attempts"`
	Losses          int              `json:"losses" db:"losses"`
	UniqueKey       string           `json:"unique_key,omitempty" db:"unique_key"`
	Metadata        json.RawMessage  `json:"metadata" db:"metadata"`
	CreatedAt       time.Time        `json:"created_at" db:"created_at"`
	AttemptedAt     *time.Time       `json:"attempted_at" db:"attempted_at"`
	FinalizedAt     *time.Time       `json:"finalized_at" db:"finalized_at"`
	WorkerID        string           `json:"worker_id,omitempty" db:"worker_id"`
	WorkerVersion   string           `json:"worker_version,omitempty" db:"worker_version"`
	WorkerRole      string           `json:"worker_role,omitempty" db:"worker_role"`
	Attempts        []Attempt        `json:"attempts" db:"attempts"`
	Result          json.RawMessage  `json:"result" db:"result"`
	LastError       string           `json:"last_error,omitempty" db:"last_error"`
	CancelRequested bool             `json:"cancel_requested" db:"cancel_requested"`
	// Warning says why a completed job has no result though its handler set one.
	Warning string `json:"warning,omitempty" db:"warning"`
}

// toUTC puts the times into the zone in which JSON knows all that a job can have.
func (r *JobRow) toUTC() {
	r.ScheduledAt, r.CreatedAt = r.ScheduledAt.UTC(), r.CreatedAt.UTC()
	for _, t := range []*time.Time{r.AttemptedAt, r.FinalizedAt} {
		if t != nil {
			*t = t.UTC()
		}
	}
}

// Attempt is one attempt that is over.
type Attempt struct {
	Number     int        `json:"number"`
	Worker     string     `json:"worker"`
	Version    string     `json:"version"`
	Role       string     `json:"role"`
	StartedAt  *time.Time `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at"`
	Error      string     `json:"error,omitempty"`
}

// Count is a row of the view job_counts.
type Count struct {
	Queue string           `json:"queue" db:"queue"`
	Kind  string           `json:"kind" db:"kind"`
	State understudy.State `json:"state" db:"state"`
	Count int64            `json:"count" db:"count"`
	Due   int64            `json:"due" db:"due"`
}

// WorkerRow is an epoch as the table workers shows it.
type WorkerRow struct {
	ID           string     `json:"id" db:"id"`
	Pod          string     `json:"pod" db:"pod"`
	Version      string     `json:"version" db:"version"`
	Role         string     `json:"role" db:"role"`
	TemplateHash string     `json:"template_hash,omitempty" db:"template_hash"`
	State        string     `json:"state" db:"state"`
	StartedAt    time.Time  `json:"started_at" db:"started_at"`
	HeartbeatAt  time.Time  `json:"heartbeat_at" db:"heartbeat_at"`
	LeaseUntil   time.Time  `json:"lease_until" db:"lease_until"`
	EndedAt      *time.Time `json:"ended_at" db:"ended_at"`
	// Live says that the worker's lease runs.
	Live bool `json:"live" db:"live"`
}

// LiveWorkers counts the live workers of a role.
type LiveWorkers struct {
	Role    string `db:"role"`
	Workers int64  `db:"workers"`
}

// Filter selects jobs; empty fields select all.
type Filter struct {
	State  understudy.State
	Kind   string
	Queue  string
	Before int64 // jobs with a smaller id: the last id of the page before
	Limit  int   // 100 when 0
}

// Job returns one job. One that does not exist is a Refusal that is NotFound.
func (s *Store) Job(ctx context.Context, id int64) (JobRow, error) {
	row, err := one[JobRow](ctx, s, "job", id)
	if errors.Is(err, pgx.ErrNoRows) {
		return row, &Refusal{Code: codeNoData, Message: fmt.Sprintf("there is no job %d in schema %q", id, s.schema)}
	}
	row.toUTC()
	return row, s.wrap("show job", err)
}

// Jobs lists jobs, the newest first.
func (s *Store) Jobs(ctx context.Context, f Filter) ([]JobRow, error) {
	if f.Limit == 0 {
		f.Limit = 100
	}
	rows, err := many[JobRow](ctx, s, "jobs", string(f.State), f.Kind, f.Queue, f.Before, f.Limit)
	if cannotHold(err, f.Kind, f.Queue) {
		return []JobRow{}, nil
	}
	for i := range rows {
		rows[i].toUTC()
	}
	return rows, s.wrap("list jobs", err)
}

// Counts counts the jobs by queue, kind and state.
func (s *Store) Counts(ctx context.Context) ([]Count, error) {
	rows, err := many[Count](ctx, s, "counts")
	return rows, s.wrap("count jobs", err)
}

// Workers lists the last epochs, the newest first.
func (s *Store) Workers(ctx context.Context, limit int) ([]WorkerRow, error) {
	rows, err := many[WorkerRow](ctx, s, "workers", limit)
	return rows, s.wrap("list workers", err)
}

// Depth counts the jobs that wait, up to limit: so it is quick however many do.
func (s *Store) Depth(ctx context.Context, limit int) (jobs int64, err error) {
	err = s.pool.QueryRow(ctx, s.sql.get("depth"), limit).Scan(&jobs)
	return jobs, s.wrap("count due jobs", err)
}

// LiveWorkers counts the workers whose lease runs, by role.
func (s *Store) LiveWorkers(ctx context.Context) ([]LiveWorkers, error) {
	rows, err := many[LiveWorkers](ctx, s, "live_workers")
	return rows, s.wrap("count workers", err)
}

// NotificationQueueUsage is how full, from 0 to 1, the server's queue of
// notifications is. Over a half, workers are not told of jobs.
func (s *Store) NotificationQueueUsage(ctx context.Context) (usage float64, err error) {
	err = s.pool.QueryRow(ctx, s.sql.get("notification_queue_usage")).Scan(&usage)
	return usage, s.wrap("look at the queue of notifications", err)
}

// Cancel cancels a job and returns its state: cancelled; or running, while
// its handler is yet to return; or the final state that it already had.
func (s *Store) Cancel(ctx context.Context, id int64) (understudy.State, error) {
	return s.steer(ctx, "cancel", id)
}

// Retry makes a job due now that is neither running nor completed. Those, and
// one whose unique key is taken, are a Refusal.
func (s *Store) Retry(ctx context.Context, id int64) (understudy.State, error) {
	return s.steer(ctx, "retry", id)
}

// RetryCompleted is Retry for a completed job too: what that did is done again.
// A login that may not call it is a Refusal.
func (s *Store) RetryCompleted(ctx context.Context, id int64) (understudy.State, error) {
	state, err := s.steer(ctx, "retry_completed", id)
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && pgErr.Code == codeNotPermitted {
		function := pgx.Identifier{s.schema, "retry_completed"}.Sanitize()
		err = &Refusal{Code: codeNotPermitted, Message: fmt.Sprintf("retry: %s: let the owner of the schema GRANT EXECUTE ON FUNCTION %s(bigint) TO this login", pgErr.Message, function)}
	}
	return state, err
}

func (s *Store) steer(ctx context.Context, verb string, id int64) (state understudy.State, err error) {
	err = s.pool.QueryRow(ctx, s.sql.get(verb), id).Scan(&state)
	return state, s.refuse(strings.ReplaceAll(verb, "_", " ")+" job", err)
}

func one[T any](ctx context.Context, s *Store, name string, args ...any) (row T, err error) {
	rows, err := s.pool.Query(ctx, s.sql.get(name), args...)
	if err != nil {
		return row, err
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[T])
}

func many[T any](ctx context.Context, s *Store, name string, args ...any) ([]T, error) {
	rows, err := s.pool.Query(ctx, s.sql.get(name), args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[T])
}
