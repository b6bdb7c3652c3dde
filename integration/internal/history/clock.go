package history

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/understudy-worker/understudy/store"
)

// clockReadings is how often a clock is read: the quickest answer says most.
const clockReadings = 20

// MeasureClock says how far the database's clock is ahead of this one, give or
// take the uncertainty.
func MeasureClock(ctx context.Context, db store.DB) (offset, uncertainty time.Duration, err error) {
	for i := range clockReadings {
		ahead, within, err := readClock(ctx, db)
		if err != nil {
			return 0, 0, fmt.Errorf("read the database's clock: %w", err)
		}
		if i == 0 || within < uncertainty {
			offset, uncertainty = ahead, within
		}
	}
	return offset, uncertainty, nil
}

// readClock reads the clock once: it was read somewhere between question and answer.
func readClock(ctx context.Context, db store.DB) (ahead, within time.Duration, err error) {
	var there time.Time
	asked := time.Now()
	if err := db.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&there); err != nil {
		return 0, 0, err
	}
	half := time.Since(asked) / 2
	return there.Sub(asked.Add(half)), half, nil
}

// local is a time of the database's clock by the tester's.
func (p *Place) local(t time.Time) time.Time { return t.Add(-p.Offset) }

// length is how long the interval lasts between from and to; none where it
// lies outside.
func (i Interval) length(from, to time.Time) time.Duration {
	if i.From.After(from) {
		from = i.From
	}
	if !i.To.IsZero() && i.To.Before(to) {
		to = i.To
	}
	return max(to.Sub(from), 0)
}

// touches says whether the interval has a moment between from and to.
func (i Interval) touches(from, to time.Time) bool {
	return !i.From.After(to) && (i.To.IsZero() || !i.To.Before(from))
}

// anyTouches says whether one of the intervals does.
func anyTouches(intervals []Interval, from, to time.Time) bool {
	return slices.ContainsFunc(intervals, func(i Interval) bool { return i.touches(from, to) })
}

// longest is how long the longest of the intervals lasts between from and to:
// they may overlap, so that their sum says nothing.
func longest(intervals []Interval, from, to time.Time) (length time.Duration) {
	for _, i := range intervals {
		length = max(length, i.length(from, to))
	}
	return length
}

// awake is when the process has been awake for d since from.
func (p *Process) awake(from time.Time, d time.Duration) time.Time {
	until := from.Add(d)
	for _, frozen := range p.Frozen { // in their order
		if frozen.touches(from, until) {
			until = until.Add(frozen.To.Sub(later(frozen.From, from)))
		}
	}
	return until
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
