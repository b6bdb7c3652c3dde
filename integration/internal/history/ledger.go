package history

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/understudy-worker/understudy"
)

// How a run ended, as its handler knows it.
const (
	OutcomeCompleted = "completed" // the handler returned nil
	OutcomeFailed    = "failed"    // it returned an error
	OutcomeDiscarded = "discarded" // it gave the job up
	OutcomeSnoozed   = "snoozed"   // it put the job off
	OutcomeCut       = "cut"       // it returned an error after its context had ended
)

// Run is one call of a handler.
type Run struct {
	Pod       string    `json:"pod"`
	Process   int       `json:"process"` // the pod's n-th, from 1
	Target    string    `json:"target"`
	Place     string    `json:"place"` // names server, database and schema: the Name of a Place
	Schema    string    `json:"schema"`
	JobID     int64     `json:"job"`
	Kind      string    `json:"kind"`
	Attempt   int       `json:"attempt"`
	Epoch     string    `json:"epoch"`
	Claim     int64     `json:"claim"` // its number within the epoch
	Requeues  int       `json:"requeues"`
	ClaimedAt time.Time `json:"claimed_at"` // by the database's clock; a second later at most, if the job waited for a slot
	StartedAt time.Time `json:"started_at"` // by the clock of the process
	EndedAt   time.Time `json:"-"`          // the same; zero where the process ended first
	Outcome   string    `json:"-"`
	Error     string    `json:"-"`

	ledger *Ledger
	number int64
}

// line is one line of the file: the beginning of a run, or its end.
type line struct {
	Run   int64 `json:"run"` // counts the runs of the file
	Begin *Run  `json:"begin,omitempty"`
	End   *end  `json:"end,omitempty"`
}

type end struct {
	At      time.Time `json:"at"`
	Outcome string    `json:"outcome"`
	Error   string    `json:"error,omitempty"`
}

// Ledger appends what one process does to a file, a line at a time, whole
// lines or none. It is safe for concurrent use.
type Ledger struct {
	pod     string
	process int

	mu     sync.Mutex
	file   *os.File
	runs   int64
	broken error // of the first write that failed: the line may be torn, so none follows
}

// Open creates the ledger of a pod's n-th process. A file that exists is
// another process's.
func Open(path, pod string, process int) (*Ledger, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, fmt.Errorf("create the ledger of process %d of pod %s: %w", process, pod, err)
	}
	return &Ledger{pod: pod, process: process, file: file}, nil
}

// Begin notes that a handler is about to work the job. When it cannot be
// noted, the handler must not go on.
func (l *Ledger) Begin(job *understudy.Job, target, place string) (*Run, error) {
	r := &Run{
		Pod: l.pod, Process: l.process, Target: target, Place: place, Schema: job.Schema,
		JobID: job.ID, Kind: job.Kind, Attempt: job.Attempt,
		Epoch: job.Claim.Epoch, Claim: job.Claim.Number, Requeues: job.Claim.Requeues,
		ClaimedAt: job.AttemptedAt.UTC(), StartedAt: time.Now().UTC(), ledger: l,
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.runs++
	r.number = l.runs
	return r, l.write(line{Run: r.number, Begin: r})
}

// End notes how the run ended. A later End replaces an earlier one.
func (r *Run) End(outcome string, err error) error {
	e := end{At: time.Now().UTC(), Outcome: outcome}
	if err != nil {
		e.Error = err.Error()
	}
	r.ledger.mu.Lock()
	defer r.ledger.mu.Unlock()
	return r.ledger.write(line{Run: r.number, End: &e})
}

// Return is End for a handler that is about to return err.
func (r *Run) Return(ctx context.Context, err error) error {
	outcome := outcomeOf(ctx, err)
	if problem := r.End(outcome, err); problem != nil {
		return problem
	}
	// The worker looks at the context after this: it may have ended while the line was written.
	if now := outcomeOf(ctx, err); now != outcome {
		return r.End(now, err)
	}
	return nil
}

// outcomeOf is what the worker will make of err.
func outcomeOf(ctx context.Context, err error) string {
	var discard *understudy.DiscardError
	var snooze *understudy.SnoozeError
	switch {
	case err == nil:
		return OutcomeCompleted
	case errors.As(err, &discard):
		return OutcomeDiscarded
	case errors.As(err, &snooze):
		return OutcomeSnoozed
	case ctx.Err() != nil:
		return OutcomeCut
	}
	return OutcomeFailed
}

// write appends a line in one write: whoever kills the process tears no more
// than the last one. The caller holds mu.
func (l *Ledger) write(entry line) error {
	if l.broken != nil {
		return l.broken
	}
	text, err := json.Marshal(entry)
	if err != nil {
		return fmt.Errorf("note run %d: %w", entry.Run, err)
	}
	if _, err := l.file.Write(append(text, '\n')); err != nil {
		l.broken = fmt.Errorf("note run %d: %w", entry.Run, err)
	}
	return l.broken
}

// Close closes the file. What is noted later is an error.
func (l *Ledger) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Close()
}
