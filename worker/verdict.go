package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/understudy-worker/understudy"
)

// ErrGoexit stands for a handler that ended its goroutine instead of returning.
var ErrGoexit = errors.New("the handler called runtime.Goexit")

// errNoText stands for an error that says nothing.
var errNoText = errors.New("the handler's error has no text")

// PanicError is a handler's panic: see Call.
type PanicError struct {
	Value any    // what it panicked with
	Stack []byte // of its goroutine, as debug.Stack has it
}

// maxPanicBytes leaves room for the stack in what is kept of a panic.
const maxPanicBytes = understudy.MaxErrorBytes / 4

func (e *PanicError) Error() string {
	value := fmt.Sprint(e.Value)
	if len(value) > maxPanicBytes {
		value = fmt.Sprintf("%s … (%d bytes in all)", strings.ToValidUTF8(value[:maxPanicBytes], ""), len(value))
	}
	return fmt.Sprintf("panic: %s\n\n%s", value, e.Stack)
}

// Judge is what a worker records of an attempt whose handler returned err, which
// is ErrGoexit where it did not return, and a PanicError where it panicked. The
// cause is why the job's context had ended by then, nil if it had not. Whoever
// wraps handlers learns by it what becomes of the job; only the delay of a retry
// is by chance.
func Judge(job *understudy.Job, err, cause error) understudy.Outcome {
	outcome := judge(job, err, cause)
	outcome.Error = understudy.ErrorText(outcome.Error)
	return outcome
}

// judge turns what a handler returned into an outcome. The cause is why the
// job's context had ended by then, nil if it had not.
func judge(job *understudy.Job, err, cause error) (outcome understudy.Outcome) {
	if err == nil {
		return understudy.Outcome{Job: job, Verdict: understudy.Completed}
	}
	defer func() {
		// A handler's own error type may panic, for one when it is a typed nil.
		if r := recover(); r != nil {
			outcome = charge(job, fmt.Sprintf("the handler's error, a %T, cannot be read: panic: %v", err, r))
		}
	}()
	if cause == ErrJobCancelled {
		return understudy.Outcome{Job: job, Verdict: understudy.Cancelled, Error: reasonFor(err, cause)}
	}
	var discard *understudy.DiscardError
	if errors.As(err, &discard) {
		return understudy.Outcome{Job: job, Verdict: understudy.Discarded, Error: err.Error()}
	}
	var snooze *understudy.SnoozeError
	if errors.As(err, &snooze) {
		return understudy.Outcome{Job: job, Verdict: understudy.Snoozed, Delay: max(snooze.Delay, 0)}
	}
	if cause == ErrDrained || cause == ErrLeaseLost {
		return understudy.Outcome{Job: job, Verdict: understudy.Released}
	}
	outcome = charge(job, reasonFor(err, cause))
	var after *understudy.RetryAfterError
	if errors.As(err, &after) && outcome.Verdict == understudy.Retried {
		outcome.Delay = max(after.Delay, 0)
	}
	return outcome
}

// charge counts the attempt: the job runs again after a backoff, or is given
// up when it was the last one.
func charge(job *understudy.Job, reason string) understudy.Outcome {
	reason = cmp.Or(reason, errNoText.Error()) // an attempt without an error is one that went well
	if job.Attempt >= job.MaxAttempts {
		return understudy.Outcome{Job: job, Verdict: understudy.Discarded, Error: reason}
	}
	return understudy.Outcome{Job: job, Verdict: understudy.Retried, Error: reason, Delay: backoff(job.Attempt)}
}

// reasonFor is the text that is kept with the job. Where the worker ended the
// job's context, its cause says more than that the context was cancelled.
func reasonFor(err, cause error) string {
	switch {
	case cause == nil:
		return err.Error()
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, cause):
		return cause.Error()
	}
	return cause.Error() + ": " + err.Error()
}

// Bounds of the backoff between attempts.
const (
	firstBackoff = time.Second
	maxBackoff   = 24 * time.Hour
)

// backoff is how long a job waits after its n-th failed attempt: 1s, 2s, 4s
// and so on up to a day, ±20 %.
func backoff(attempt int) time.Duration {
	wait := maxBackoff
	if attempt = max(attempt, 1); attempt <= 17 { // 2^17 s are more than a day
		wait = firstBackoff << (attempt - 1)
	}
	return min(wait-wait/5+rand.N(wait*2/5+1), maxBackoff)
}
