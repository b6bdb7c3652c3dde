package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/understudy-worker/understudy"
)

// NewJob is a job that is to be enqueued. Zero values mean the defaults.
type NewJob struct {
	Kind        string
	Args        any       // marshalled to JSON; nil means {}
	Queue       string    // understudy.DefaultQueue when empty
	Priority    int       // understudy.DefaultPriority when 0
	ScheduledAt time.Time // now, by the database's clock, when zero
	MaxAttempts int       // understudy.DefaultMaxAttempts when 0
	UniqueKey   string    // not unique when empty
	Metadata    any       // marshalled to JSON; nil means {}
}

// bulkChunk is how many jobs go to the server in one statement.
const bulkChunk = 10_000

// Enqueue enqueues one job and returns its id, or the id of the unfinished job
// of that kind which already has its unique key.
func (s *Store) Enqueue(ctx context.Context, job NewJob) (int64, error) {
	ids, err := s.enqueue(ctx, s.pool, []NewJob{job})
	if err != nil {
		return 0, err
	}
	return ids[0], nil
}

// EnqueueTx is Enqueue as part of the caller's transaction: the job exists if
// and only if the transaction commits.
func (s *Store) EnqueueTx(ctx context.Context, tx pgx.Tx, job NewJob) (int64, error) {
	ids, err := s.enqueue(ctx, tx, []NewJob{job})
	if err != nil {
		return 0, err
	}
	return ids[0], nil
}

// EnqueueMany enqueues all of the jobs in one transaction, or none, and
// returns their ids in the order given. A job whose unique key is taken gets
// the id of the job that has it, within the call too.
func (s *Store) EnqueueMany(ctx context.Context, jobs []NewJob) (ids []int64, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		ids, err = s.EnqueueManyTx(ctx, tx, jobs)
		return err
	})
	return ids, err
}

// EnqueueManyTx is EnqueueMany as part of the caller's transaction.
func (s *Store) EnqueueManyTx(ctx context.Context, tx pgx.Tx, jobs []NewJob) ([]int64, error) {
	ids := make([]int64, 0, len(jobs))
	for start := 0; start < len(jobs); start += bulkChunk {
		chunk, err := s.enqueue(ctx, tx, jobs[start:min(start+bulkChunk, len(jobs))])
		if err != nil {
			return nil, err
		}
		ids = append(ids, chunk...)
	}
	return ids, nil
}

func (s *Store) enqueue(ctx context.Context, db DB, jobs []NewJob) ([]int64, error) {
	c, err := columnsOf(jobs)
	if err != nil {
		return nil, err
	}
	var ids []int64
	err = db.QueryRow(ctx, s.sql.get("enqueue_many"),
		c.kinds, c.args, c.queues, c.priorities, c.scheduledAts, c.maxAttempts, c.uniqueKeys, c.metadata).Scan(&ids)
	if err != nil {
		return nil, s.wrap("enqueue", err)
	}
	return ids, nil
}

// columns are jobs as the arrays that enqueue_many takes; nil means the default.
type columns struct {
	kinds        []string
	args         []*string
	queues       []*string
	priorities   []*int32
	scheduledAts []*time.Time
	maxAttempts  []*int32
	uniqueKeys   []*string
	metadata     []*string
}

func columnsOf(jobs []NewJob) (*columns, error) {
	c := &columns{}
	for i, job := range jobs {
		if err := c.add(job); err != nil {
			if len(jobs) > 1 {
				return nil, fmt.Errorf("enqueue: job %d: %w", i+1, err)
			}
			return nil, fmt.Errorf("enqueue: %w", err)
		}
	}
	return c, nil
}

func (c *columns) add(job NewJob) error {
	args, err := jsonText("args", job.Args)
	if err != nil {
		return err
	}
	metadata, err := jsonText("metadata", job.Metadata)
	if err != nil {
		return err
	}
	for name, text := range map[string]string{"kind": job.Kind, "queue": job.Queue, "unique key": job.UniqueKey} {
		if err := checkText(name, text); err != nil {
			return err
		}
	}
	c.kinds = append(c.kinds, job.Kind)
	c.args = append(c.args, args)
	c.queues = append(c.queues, orNull(job.Queue))
	c.priorities = append(c.priorities, orNull(int32(job.Priority)))
	c.scheduledAts = append(c.scheduledAts, timeOrNull(job.ScheduledAt))
	c.maxAttempts = append(c.maxAttempts, orNull(int32(job.MaxAttempts)))
	c.uniqueKeys = append(c.uniqueKeys, orNull(job.UniqueKey))
	c.metadata = append(c.metadata, metadata)
	return nil
}

// jsonText is v as JSON text; nil for nil. The size is checked here too, so
// that nothing huge is sent only to be refused.
func jsonText(name string, v any) (*string, error) {
	if v == nil {
		return nil, nil
	}
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("%s are not JSON: %w", name, err)
	}
	if len(data) > understudy.MaxArgsBytes {
		return nil, fmt.Errorf("%s has %d bytes, the limit is %d", name, len(data), understudy.MaxArgsBytes)
	}
	if !utf8.Valid(data) {
		return nil, fmt.Errorf("%s is not valid UTF-8", name)
	}
	text := string(data)
	return &text, nil
}

// checkText refuses what Postgres cannot store as text.
func checkText(name, text string) error {
	if !utf8.ValidString(text) {
		return fmt.Errorf("%s is not valid UTF-8", name)
	}
	for _, r := range text {
		if r == 0 {
			return errors.New(name + " contains a NUL character, which Postgres cannot store")
		}
	}
	return nil
}

func orNull[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
