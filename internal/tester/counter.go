package tester

import (
	"context"
	"time"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/store"
)

const (
	// countLimit is how far waiting jobs are counted: further would take longer
	// than a look is worth.
	countLimit = 100_000
	// restTimes is how many times as long as counting took it is not done again,
	// so that a tenth of a server's time goes to it at the most.
	restTimes = 10
	// quickly is how long counting may take to be done with every look: an open
	// page looks once a second.
	quickly = liveEvery / restTimes
)

// counts are how many jobs a side has, as they were counted last.
type counts struct {
	store.Tally
	at   time.Time     // when they were counted; zero where that never went well
	took time.Duration // how long it took the last time, or was waited for in vain
	late bool          // the last time was in vain
}

// due is how many jobs wait for a worker.
func (c counts) due() int64 { return c.Jobs[understudy.StateAvailable] }

// counter counts the jobs of a side. It belongs to one goroutine.
type counter struct {
	timeout time.Duration // of a look, which counting is a part of
	where   Place         // without its store
	last    counts
	next    time.Time // not to be counted before
}

// count counts the jobs, or returns what they were where it is too early to do so
// again. That it takes too long is no error: the rest of a side can be shown.
func (c *counter) count(ctx context.Context, place Place) (counts, error) {
	where := place
	where.Store = nil
	if where != c.where {
		*c = counter{timeout: c.timeout, where: where}
	}
	began := time.Now()
	if began.Before(c.next) {
		return c.last, nil
	}
	tally, err := place.Store.Tally(ctx, countLimit)
	switch {
	case err == nil:
		c.last = counts{Tally: tally, at: began, took: time.Since(began)}
	case late(err):
		c.last.took, c.last.late = c.timeout, true
	default:
		return counts{}, err
	}
	if c.last.took > quickly {
		c.next = time.Now().Add(restTimes * c.last.took)
	}
	return c.last, nil
}
