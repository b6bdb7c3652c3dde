package understudy

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
)

// Handler works jobs of one kind. Handle is called once an attempt, from many
// goroutines at a time. Returning nil completes the job; Discard, Snooze and
// RetryAfter say otherwise; any other error, or a panic, lets the job run
// again after a backoff, until its last attempt.
//
// The context ends when the job is cancelled, when its time is up, when the
// worker loses its lease, or when a drain's deadline cuts the job short. A
// handler returns soon after: one that does not keeps its slot, and after the
// last two it ends the process.
type Handler interface {
	Handle(ctx context.Context, job *Job) error
}

// HandlerFunc is a function that is a Handler.
type HandlerFunc func(ctx context.Context, job *Job) error

// Handle calls f.
func (f HandlerFunc) Handle(ctx context.Context, job *Job) error { return f(ctx, job) }

// Handlers are the handlers of one epoch, by kind of job. A kind without a
// handler is left in its queue for a worker that has one.
type Handlers map[string]Handler

// Kinds lists the kinds that have a handler, sorted.
func (h Handlers) Kinds() []string {
	kinds := make([]string, 0, len(h))
	for kind := range h {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	return kinds
}

// Typed makes a Handler of a function that takes its arguments decoded. A job
// whose arguments do not decode into an A is discarded: no retry mends them.
func Typed[A any](handle func(ctx context.Context, job *Job, args A) error) Handler {
	return HandlerFunc(func(ctx context.Context, job *Job) error {
		var args A
		if err := json.Unmarshal(job.Args, &args); err != nil {
			return Discard(fmt.Errorf("decode arguments of kind %q: %w", job.Kind, err))
		}
		return handle(ctx, job, args)
	})
}
