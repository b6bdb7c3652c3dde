package history

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-worker/understudy/internal/pgtest"
)

func TestTheClockOfADatabaseOnThisMachineIsThisOnes(t *testing.T) {
	t.Parallel()
	offset, uncertainty, err := MeasureClock(t.Context(), pgtest.Conn(t))
	if err != nil || uncertainty <= 0 || offset.Abs() > uncertainty+rounding {
		t.Errorf("ahead by %s ± %s, error %v", offset, uncertainty, err)
	}
}

// wrongClock is a database whose clock is ahead, and whose answers take longer and longer.
type wrongClock struct {
	ahead, takes time.Duration
}

func (c *wrongClock) Query(context.Context, string, ...any) (pgx.Rows, error) { return nil, nil }

func (c *wrongClock) QueryRow(context.Context, string, ...any) pgx.Row { return c }

func (c *wrongClock) Scan(into ...any) error {
	time.Sleep(c.takes / 2)
	*into[0].(*time.Time) = time.Now().Add(c.ahead)
	time.Sleep(c.takes / 2)
	c.takes += time.Millisecond
	return nil
}

func TestTheQuickestAnswerMeasuresTheClock(t *testing.T) {
	t.Parallel()
	offset, uncertainty, err := MeasureClock(t.Context(), &wrongClock{ahead: time.Hour, takes: 2 * time.Millisecond})
	if wrong := (offset - time.Hour).Abs(); err != nil || wrong > uncertainty || uncertainty < time.Millisecond {
		t.Errorf("ahead by %s ± %s, error %v", offset, uncertainty, err)
	}
}

func TestAnIntervalIsAsLongAsItLastsWithinAnother(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		interval Interval
		touches  bool
		length   time.Duration
	}{
		{between(1, 5), false, 0},
		{between(1, 10), true, 0},
		{between(1, 12), true, 2 * time.Second},
		{between(12, 13), true, time.Second},
		{between(1, 30), true, 10 * time.Second},
		{Interval{From: sec(15)}, true, 5 * time.Second},
		{between(20, 25), true, 0},
		{between(21, 25), false, 0},
		{Interval{From: sec(21)}, false, 0},
	} {
		touches, length := c.interval.touches(sec(10), sec(20)), c.interval.length(sec(10), sec(20))
		if touches != c.touches || length != c.length {
			t.Errorf("%v: touches %v for %s, want %v for %s", c.interval, touches, length, c.touches, c.length)
		}
	}
}
