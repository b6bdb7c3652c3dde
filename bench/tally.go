package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"
)

// jobKind is the kind of every job.
const jobKind = "noop"

// jobArgs are the arguments of every job. They are River's job type too.
type jobArgs struct {
	To string `json:"to"`
	N  int    `json:"n"`
}

// Kind names the job's kind to River.
func (jobArgs) Kind() string { return jobKind }

func newArgs(n int) jobArgs { return jobArgs{To: "someone@example.org", N: n} }

// newBatch are the jobs with the numbers from first on.
func newBatch(first, count int) []jobArgs {
	batch := make([]jobArgs, count)
	for i := range batch {
		batch[i] = newArgs(first + i)
	}
	return batch
}

// tally is what every handler of every system does: it counts.
type tally struct {
	done   atomic.Int64
	sleep  time.Duration
	starts []atomic.Int64 // by number of the job; nil where they are not asked for
}

func newTally(a assignment) *tally {
	t := &tally{sleep: a.Sleep}
	if a.Numbered > 0 {
		t.starts = make([]atomic.Int64, a.Numbered)
	}
	return t
}

// handle handles a job whose arguments the system has not decoded.
func (t *tally) handle(ctx context.Context, args []byte) error {
	if t.starts == nil {
		return t.handleNumber(ctx, 0)
	}
	began := time.Now() // decoding is the handler's own work
	var decoded jobArgs
	if err := json.Unmarshal(args, &decoded); err != nil {
		return fmt.Errorf("decode arguments: %w", err)
	}
	t.note(decoded.N, began)
	return t.finish(ctx)
}

// handleNumber handles the job of that number.
func (t *tally) handleNumber(ctx context.Context, n int) error {
	if t.starts != nil {
		t.note(n, time.Now())
	}
	return t.finish(ctx)
}

// note notes the first start of a job.
func (t *tally) note(n int, began time.Time) {
	if n >= 0 && n < len(t.starts) {
		t.starts[n].CompareAndSwap(0, began.UnixNano())
	}
}

func (t *tally) finish(ctx context.Context) error {
	if t.sleep > 0 {
		timer := time.NewTimer(t.sleep)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	t.done.Add(1)
	return nil
}

// started are the starts noted so far, 0 for a job that has not begun.
func (t *tally) started() []int64 {
	starts := make([]int64, len(t.starts))
	for i := range t.starts {
		starts[i] = t.starts[i].Load()
	}
	return starts
}
