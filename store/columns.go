package store

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/understudy-worker/understudy"
)

// columns are new jobs as the arrays that enqueue_many takes; nil means the default.
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

// columnsOf checks the jobs, so that an error comes before anything is sent.
func columnsOf(jobs []NewJob) (*columns, error) {
	c := &columns{}
	for i, job := range jobs {
		if err := c.add(job); err != nil {
			if len(jobs) > 1 {
				err = fmt.Errorf("job %d: %w", i+1, err)
			}
			return nil, &Refusal{Code: codeInvalidParameter, Message: "enqueue: " + err.Error()}
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
	if err := job.check(); err != nil {
		return err
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

// check is the schema's job_problem(), without the JSON.
func (job *NewJob) check() error {
	if job.Kind == "" {
		return errors.New("kind is empty: name the handler that is to work the job")
	}
	for _, text := range []struct {
		name, value string
		limit       int
	}{
		{"kind", job.Kind, understudy.MaxNameBytes},
		{"queue", job.Queue, understudy.MaxNameBytes},
		{"unique_key", job.UniqueKey, understudy.MaxUniqueKeyBytes},
	} {
		if err := checkText(text.name, text.value, text.limit); err != nil {
			return err
		}
	}
	if p := job.Priority; p != 0 && (p < understudy.MinPriority || p > understudy.MaxPriority) {
		return fmt.Errorf("priority is %d: it goes from %d, claimed first, to %d", p, understudy.MinPriority, understudy.MaxPriority)
	}
	if n := job.MaxAttempts; n < 0 || n > math.MaxInt16 {
		return fmt.Errorf("max_attempts is %d: it goes from 1 to %d", n, math.MaxInt16)
	}
	if year := job.ScheduledAt.UTC().Year(); year < 1 || year > 9999 {
		return fmt.Errorf("scheduled_at is %s: use a time from year 1 to year 9999", job.ScheduledAt)
	}
	return nil
}

// checkText refuses a text that is too long, or that Postgres cannot store.
func checkText(name, text string, limit int) error {
	switch {
	case len(text) > limit:
		return fmt.Errorf("%s has %d bytes, the limit is %d", name, len(text), limit)
	case !utf8.ValidString(text):
		return fmt.Errorf("%s is not valid UTF-8", name)
	case strings.Contains(text, "\x00"):
		return fmt.Errorf("%s contains a NUL character, which Postgres cannot store", name)
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

func (c *columns) len() int { return len(c.kinds) }

// arguments are those of enqueue_many, whose messages number the jobs from first.
func (c *columns) arguments(first int, wake bool) []any {
	return []any{c.kinds, c.args, c.queues, c.priorities, c.scheduledAts, c.maxAttempts, c.uniqueKeys, c.metadata, first, wake}
}

// A chunk is what goes to the server in one statement: far from the gigabyte
// that a value may have there, even where JSON takes more room than its text.
const (
	chunkJobs  = 10_000
	chunkBytes = 16 << 20
)

// chunk is where the chunk that begins at start ends.
func (c *columns) chunk(start int) (end int) {
	bytes := 0
	for end = start; end < min(start+chunkJobs, c.len()); end++ {
		for _, text := range []*string{c.args[end], c.metadata[end]} {
			if text != nil {
				bytes += len(*text)
			}
		}
		if bytes > chunkBytes && end > start {
			return end
		}
	}
	return end
}

// slice is the columns' rows from start up to end.
func (c *columns) slice(start, end int) *columns {
	return &columns{
		kinds: c.kinds[start:end], args: c.args[start:end], queues: c.queues[start:end],
		priorities: c.priorities[start:end], scheduledAts: c.scheduledAts[start:end], maxAttempts: c.maxAttempts[start:end],
		uniqueKeys: c.uniqueKeys[start:end], metadata: c.metadata[start:end],
	}
}
