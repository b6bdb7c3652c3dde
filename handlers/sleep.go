package handlers

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/understudy-worker/understudy"
)

// sleepArgs are the arguments of a sleep job: one of the two, or neither for
// the length that the configuration gives.
type sleepArgs struct {
	Seconds  *float64 `json:"seconds"`  // {"seconds": 0.5}
	Duration *string  `json:"duration"` // {"duration": "500ms"}
}

// slept is the result of a sleep job.
type slept struct {
	Seconds float64 `json:"slept_seconds"`
}

// newSleep makes the handler that holds its job for a while and then
// completes it. The setting duration (default 1s) is for jobs that name none.
// Arguments that name no length of time discard the job.
func newSleep(s *settings, _ understudy.Place) understudy.Handler {
	usual := s.duration("duration", time.Second)
	return understudy.Typed(func(ctx context.Context, job *understudy.Job, args sleepArgs) error {
		length, err := args.length(usual)
		if err != nil {
			return understudy.Discard(fmt.Errorf("arguments of kind %q: %w", job.Kind, err))
		}
		began := time.Now()
		if err := pause(ctx, length); err != nil {
			return err
		}
		return job.SetResult(slept{Seconds: time.Since(began).Seconds()})
	})
}

// length is how long the arguments ask to sleep.
func (a sleepArgs) length(usual time.Duration) (time.Duration, error) {
	switch {
	case a.Seconds != nil && a.Duration != nil:
		return 0, fmt.Errorf("both seconds and duration are given: give one")
	case a.Seconds != nil:
		return fromSeconds(*a.Seconds)
	case a.Duration == nil:
		return usual, nil
	}
	d, err := time.ParseDuration(*a.Duration)
	if err != nil || d < 0 {
		return 0, fmt.Errorf(`duration %q: write it like "500ms" or "10s"`, *a.Duration)
	}
	return d, nil
}

// fromSeconds is a number of seconds as a duration.
func fromSeconds(seconds float64) (time.Duration, error) {
	nanoseconds := seconds * float64(time.Second)
	if nanoseconds < 0 || nanoseconds >= math.MaxInt64 {
		return 0, fmt.Errorf("seconds %g: give a number from 0 to %d", seconds, math.MaxInt64/int64(time.Second))
	}
	return time.Duration(nanoseconds), nil
}

// pause waits for d, or returns the context's cause if that ends first.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
