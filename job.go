package understudy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// State is where a job stands in its life. The names are those of River and
// Oban.
type State string

// The states of a job. The last three are final.
const (
	// StateScheduled is a job whose time has not come, or a snoozed one.
	StateScheduled State = "scheduled"
	// StateAvailable is a job that waits for a worker.
	StateAvailable State = "available"
	// StateRunning is a job that a worker has claimed.
	StateRunning State = "running"
	// StateRetryable is a failed job that waits for its next attempt.
	StateRetryable State = "retryable"
	// StateCompleted is a job whose handler returned nil.
	StateCompleted State = "completed"
	// StateDiscarded is a job that was given up.
	StateDiscarded State = "discarded"
	// StateCancelled is a job that somebody cancelled.
	StateCancelled State = "cancelled"
)

// States lists every state, in the order of a job's life.
var States = []State{
	StateScheduled, StateAvailable, StateRunning, StateRetryable,
	StateCompleted, StateDiscarded, StateCancelled,
}

// Final says whether a job in this state is finished.
func (s State) Final() bool {
	return s == StateCompleted || s == StateDiscarded || s == StateCancelled
}

// ParseState returns the state of that name.
func ParseState(name string) (State, error) {
	for _, s := range States {
		if string(s) == name {
			return s, nil
		}
	}
	names := make([]string, 0, len(States))
	for _, s := range States {
		names = append(names, string(s))
	}
	return "", fmt.Errorf("unknown job state %q: use one of %s", name, strings.Join(names, ", "))
}

// Priorities of a job: 1 is claimed first.
const (
	MinPriority     = 1
	MaxPriority     = 4
	DefaultPriority = 1
)

// Defaults of a job that is enqueued without saying otherwise.
const (
	DefaultQueue       = "default"
	DefaultMaxAttempts = 25
)

// Limits of a job, checked when it is enqueued.
const (
	// MaxNameBytes limits kind and queue.
	MaxNameBytes = 128
	// MaxUniqueKeyBytes limits the unique key.
	MaxUniqueKeyBytes = 512
	// MaxArgsBytes limits the arguments, and the metadata, as JSON.
	MaxArgsBytes = 1 << 20
	// MaxResultBytes limits the result, as JSON.
	MaxResultBytes = 1 << 20
)

// MaxErrorBytes limits the text of an error, which is cut: see ErrorText.
const MaxErrorBytes = 8 << 10

// Place is where an epoch works: the role that a process has, and the target
// that it serves in that role. Handlers are made once per epoch, for its place.
type Place struct {
	Role    string // value of the role label: active, preview, …
	Target  string // name of the target: production, preview, …
	Schema  string // Postgres schema that the target's jobs live in
	Version string // version of this worker
}

// Claim is the fencing token of a claimed job: every later write to the job
// must match it, so that a worker that lost a job can no longer change it.
type Claim struct {
	// Epoch is the random id of the epoch that claimed the job, as in the
	// schema's workers table.
	Epoch string
	// Number counts the claims of that epoch.
	Number int64
	// Requeues is how often the job had gone back to its queue when it was claimed.
	Requeues int
}

// Job is one claimed piece of work, as its handler sees it. A handler may
// read every field; it changes none but by SetResult.
type Job struct {
	ID          int64
	Queue       string
	Kind        string
	Args        json.RawMessage
	Priority    int
	ScheduledAt time.Time
	// Attempt is the number of this attempt, from 1. A snooze, a drain and a
	// lost worker do not count.
	Attempt     int
	MaxAttempts int
	// Losses counts the workers that were lost while they ran this job.
	Losses      int
	UniqueKey   string
	Metadata    json.RawMessage
	CreatedAt   time.Time
	AttemptedAt time.Time
	// Schema is the Postgres schema that the job's row is in.
	Schema string
	// Claim is the token that every write to the job's row must match.
	Claim Claim

	result    json.RawMessage
	warning   string
	completed bool
}

// SetResult keeps v, as JSON, as the job's result once the job completes. A
// later call replaces the value of an earlier one.
//
// What is done is done: a value that is no JSON, is too large, or that Postgres
// cannot store makes no failure of it. The job completes without a result, and
// its warning says why. So the error is always nil; it is returned for handlers
// that end with it.
func (j *Job) SetResult(v any) error {
	data, err := marshal(v)
	switch {
	case err != nil:
		j.LeaveResult("result cannot be made JSON: " + err.Error())
	case !utf8.Valid(data):
		j.LeaveResult("result is not valid UTF-8")
	case len(data) > MaxResultBytes:
		j.LeaveResult(fmt.Sprintf("result has %d bytes, the limit is %d", len(data), MaxResultBytes))
	default:
		j.result, j.warning = data, ""
	}
	return nil
}

// marshal is v as compact JSON, whatever its own methods do.
func marshal(v any) (data []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // it would make six bytes of one
	err = encoder.Encode(v)
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), err
}

// LeaveResult says that the job has a result that is not kept, and why: that
// becomes the warning of the job once it completes.
func (j *Job) LeaveResult(why string) { j.result, j.warning = nil, ErrorText(why) }

// Result is the JSON of the last SetResult; nil where there is none, or it
// cannot be kept.
func (j *Job) Result() json.RawMessage { return j.result }

// Warning says why the value of the last SetResult cannot be kept; empty where
// it can.
func (j *Job) Warning() string { return j.warning }

// MarkCompleted notes that the job was completed in a transaction of its
// handler's. It is for packages that write a job's completion, not for handlers.
func (j *Job) MarkCompleted() { j.completed = true }

// MarkedCompleted says whether the handler completed the job in a
// transaction of its own, which may since have been rolled back.
func (j *Job) MarkedCompleted() bool { return j.completed }

// ErrFenced says that a write came from a worker that no longer holds the
// job: its lease ran out, or the job was finished by another.
var ErrFenced = errors.New("the job is no longer held by this worker")

// ErrEpochOver says that a worker's lease ran out or was taken: whatever it
// held belongs to others now.
var ErrEpochOver = errors.New("the epoch is over: its lease ran out")
