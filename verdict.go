package understudy

import (
	"errors"
	"fmt"
	"time"
)

// DiscardError gives a job up: see Discard.
type DiscardError struct{ Err error }

func (e *DiscardError) Error() string { return "discard: " + e.Err.Error() }

// Unwrap returns the reason.
func (e *DiscardError) Unwrap() error { return e.Err }

// SnoozeError runs a job later: see Snooze.
type SnoozeError struct{ Delay time.Duration }

func (e *SnoozeError) Error() string { return fmt.Sprintf("snooze for %s", e.Delay) }

// RetryAfterError overrides the backoff: see RetryAfter.
type RetryAfterError struct {
	Delay time.Duration
	Err   error
}

func (e *RetryAfterError) Error() string {
	return fmt.Sprintf("retry after %s: %v", e.Delay, e.Err)
}

// Unwrap returns the reason.
func (e *RetryAfterError) Unwrap() error { return e.Err }

// Discard is what a handler returns to give a job up, whatever attempts are left.
func Discard(err error) error {
	return &DiscardError{Err: reason(err, "discarded by its handler")}
}

// Snooze is what a handler returns to run the job again after d without
// charging an attempt. A negative d counts as zero.
func Snooze(d time.Duration) error { return &SnoozeError{Delay: max(d, 0)} }

// RetryAfter is what a handler returns for a failure that is worth another
// attempt after d, instead of after the usual backoff. A negative d counts as zero.
func RetryAfter(d time.Duration, err error) error {
	return &RetryAfterError{Delay: max(d, 0), Err: reason(err, "retry asked by its handler")}
}

// reason stands in for a nil error, so that what a handler returns is never
// mistaken for success.
func reason(err error, otherwise string) error {
	if err == nil {
		return errors.New(otherwise)
	}
	return err
}
