package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/understudy-worker/understudy"
)

// fails fails a job.
func fails(context.Context, *understudy.Job) error { return errors.New("mailbox full") }

func TestVerdicts(t *testing.T) {
	t.Parallel()
	full := errors.New("mailbox full")
	timeUp := &timeoutError{5 * time.Second}
	cancelled := fmt.Errorf("send: %w", context.Canceled)
	backoff := time.Duration(-1) // stands for a backoff
	for name, c := range map[string]struct {
		err, cause error
		attempt    int
		verdict    understudy.Verdict
		text       string
		delay      time.Duration
	}{
		"nil":                             {nil, nil, 1, understudy.Completed, "", 0},
		"an error":                        {full, nil, 1, understudy.Retried, "mailbox full", backoff},
		"an error, last attempt":          {full, nil, 3, understudy.Discarded, "mailbox full", 0},
		"an error without a text":         {errors.New(""), nil, 1, understudy.Retried, "the handler's error has no text", backoff},
		"discard":                         {understudy.Discard(full), nil, 1, understudy.Discarded, "discard: mailbox full", 0},
		"discard, wrapped":                {fmt.Errorf("send: %w", understudy.Discard(full)), nil, 1, understudy.Discarded, "send: discard: mailbox full", 0},
		"snooze":                          {understudy.Snooze(time.Minute), nil, 1, understudy.Snoozed, "", time.Minute},
		"snooze, last attempt":            {understudy.Snooze(time.Minute), nil, 3, understudy.Snoozed, "", time.Minute},
		"negative snooze":                 {&understudy.SnoozeError{Delay: -1}, nil, 1, understudy.Snoozed, "", 0},
		"retry after":                     {understudy.RetryAfter(time.Hour, full), nil, 1, understudy.Retried, "retry after 1h0m0s: mailbox full", time.Hour},
		"retry after, last attempt":       {understudy.RetryAfter(time.Hour, full), nil, 3, understudy.Discarded, "retry after 1h0m0s: mailbox full", 0},
		"negative retry after":            {&understudy.RetryAfterError{Delay: -1, Err: full}, nil, 1, understudy.Retried, "retry after -1ns: mailbox full", 0},
		"a context error of its own":      {cancelled, nil, 1, understudy.Retried, "send: context canceled", backoff},
		"drained: nil":                    {nil, ErrDrained, 1, understudy.Completed, "", 0},
		"drained: an error":               {full, ErrDrained, 1, understudy.Released, "", 0},
		"drained: an error, last attempt": {full, ErrDrained, 3, understudy.Released, "", 0},
		"drained: discard":                {understudy.Discard(full), ErrDrained, 1, understudy.Discarded, "discard: mailbox full", 0},
		"drained: snooze":                 {understudy.Snooze(1), ErrDrained, 1, understudy.Snoozed, "", 1},
		"drained: retry after":            {understudy.RetryAfter(1, full), ErrDrained, 1, understudy.Released, "", 0},
		"drained: panic":                  {&PanicError{Value: 1}, ErrDrained, 1, understudy.Released, "", 0},
		"lease lost: nil":                 {nil, ErrLeaseLost, 1, understudy.Completed, "", 0},
		"lease lost: an error":            {full, ErrLeaseLost, 3, understudy.Released, "", 0},
		"cancelled: nil":                  {nil, ErrJobCancelled, 1, understudy.Completed, "", 0},
		"cancelled: context error":        {cancelled, ErrJobCancelled, 1, understudy.Cancelled, "the job was cancelled", 0},
		"cancelled: its cause":            {ErrJobCancelled, ErrJobCancelled, 1, understudy.Cancelled, "the job was cancelled", 0},
		"cancelled: an error":             {full, ErrJobCancelled, 1, understudy.Cancelled, "the job was cancelled: mailbox full", 0},
		"cancelled: snooze":               {understudy.Snooze(0), ErrJobCancelled, 1, understudy.Cancelled, "the job was cancelled: snooze for 0s", 0},
		"time up: nil":                    {nil, timeUp, 1, understudy.Completed, "", 0},
		"time up: context error":          {context.DeadlineExceeded, timeUp, 1, understudy.Retried, "job timed out after 5s", backoff},
		"time up: an error":               {full, timeUp, 1, understudy.Retried, "job timed out after 5s: mailbox full", backoff},
		"time up, last attempt":           {context.DeadlineExceeded, timeUp, 3, understudy.Discarded, "job timed out after 5s", 0},
		"time up: discard":                {understudy.Discard(full), timeUp, 1, understudy.Discarded, "discard: mailbox full", 0},
		"goexit":                          {ErrGoexit, nil, 1, understudy.Retried, "the handler called runtime.Goexit", backoff},
	} {
		job := &understudy.Job{ID: 1, Attempt: c.attempt, MaxAttempts: 3}
		got := Judge(job, c.err, c.cause)
		if c.delay == backoff && got.Delay >= 800*time.Millisecond && got.Delay <= 1200*time.Millisecond {
			got.Delay = backoff
		}
		want := understudy.Outcome{Job: job, Verdict: c.verdict, Error: c.text, Delay: c.delay}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(understudy.Job{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestAnErrorThatCannotBeReadIsRetried(t *testing.T) {
	t.Parallel()
	var none *understudy.DiscardError // a typed nil, a mistake that handlers make
	for _, err := range []error{none, &understudy.DiscardError{}, fmt.Errorf("%w", &understudy.RetryAfterError{})} {
		got := Judge(&understudy.Job{Attempt: 1, MaxAttempts: 3}, err, nil)
		if got.Verdict != understudy.Retried {
			t.Errorf("%T: %s, want retried", err, got.Verdict)
		}
	}
	if got := Judge(&understudy.Job{MaxAttempts: 3}, none, nil); !strings.Contains(got.Error, "*understudy.DiscardError") {
		t.Errorf("error %q does not name the type", got.Error)
	}
}

func TestTheBackoffDoublesUpToADay(t *testing.T) {
	t.Parallel()
	for attempt, want := range map[int]time.Duration{
		-1: time.Second, 0: time.Second, 1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 10: 512 * time.Second,
		17: 65536 * time.Second, 18: 24 * time.Hour, 64: 24 * time.Hour, 30000: 24 * time.Hour,
	} {
		least, most := time.Duration(1<<62), time.Duration(0)
		for range 1000 {
			got := backoff(attempt)
			least, most = min(least, got), max(most, got)
		}
		if least < want*8/10 || least > want*85/100 || most > min(want*12/10, 24*time.Hour) || most < want*95/100 {
			t.Errorf("attempt %d waits from %s to %s, want %s ±20 %%", attempt, least, most, want)
		}
	}
}

func TestTriesAreFarApartAfterMany(t *testing.T) {
	t.Parallel()
	for failed, want := range map[int]time.Duration{
		1: 100 * time.Millisecond, 2: 200 * time.Millisecond, 6: 3200 * time.Millisecond, 7: maxRetryWait, 1 << 30: maxRetryWait,
	} {
		for range 100 {
			if got := retryWait(failed); got > want || got < want/2 {
				t.Errorf("failure %d waits %s, want %s or up to a half less", failed, got, want)
			}
		}
	}
}
