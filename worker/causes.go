package worker

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/understudy-worker/understudy"
)

// Why a job's context ended: what context.Cause says in a handler. A job whose
// time is up has a cause of its own, and the error context.DeadlineExceeded.
var (
	// ErrDrained says that the drain's deadline cut the job short.
	ErrDrained = errors.New("the worker stops: its drain deadline has passed")
	// ErrLeaseLost says that the job may belong to another worker by now.
	ErrLeaseLost = errors.New("the worker lost its lease")
	// ErrJobCancelled says that somebody cancelled the job.
	ErrJobCancelled = errors.New("the job was cancelled")
)

// errReturned ends the context of a job whose handler has returned.
var errReturned = errors.New("the handler has returned")

// timeoutError is the cause of a job whose time is up.
type timeoutError struct{ after time.Duration }

func (e *timeoutError) Error() string { return fmt.Sprintf("job timed out after %s", e.after) }

// ErrStuck is what a StuckError is.
var ErrStuck = errors.New("a handler ignored its cancellation")

// StuckError says which handlers went on after they were told to stop. The
// process must exit: nothing else ends them, and others will run their jobs.
type StuckError struct {
	Jobs  []understudy.RunningJob
	Cause error         // why they were to stop
	After time.Duration // how long ago they were told
}

func (e *StuckError) Error() string {
	names := make([]string, len(e.Jobs))
	for i, job := range e.Jobs {
		names[i] = fmt.Sprintf("job %d of kind %q", job.ID, job.Kind)
	}
	return fmt.Sprintf("%s: %s still ran %s after it was told to stop (%s)",
		ErrStuck, strings.Join(names, ", "), e.After, e.Cause)
}

// Is makes a StuckError an ErrStuck.
func (e *StuckError) Is(target error) bool { return target == ErrStuck }
