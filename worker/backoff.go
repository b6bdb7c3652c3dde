package worker

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

// Bounds of the wait between tries of a call that fails.
const (
	minRetryWait = 100 * time.Millisecond
	maxRetryWait = 5 * time.Second
)

// comeback lets those that wait to try again do so at once when a call succeeds
// that had failed: the server that it failed for is back, as a rule for all.
type comeback struct {
	mu   sync.Mutex
	c    chan struct{} // closed at the next comeback
	last time.Time
}

// For freshFor after a comeback tries follow one another quickly: a call that
// was under way then may still fail for what was before.
const (
	freshFor  = 2 * time.Second
	freshWait = 4 * minRetryWait
)

// fresh says whether the last comeback was a moment ago.
func (b *comeback) fresh() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Since(b.last) < freshFor
}

func newComeback() *comeback { return &comeback{c: make(chan struct{})} }

// next is closed at the next comeback.
func (b *comeback) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.c
}

func (b *comeback) announce() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.c)
	b.c, b.last = make(chan struct{}), time.Now()
}

// retries paces the tries of one loop whose calls may fail, and keeps its
// complaints few. It belongs to one goroutine.
type retries struct {
	log    *slog.Logger
	back   *comeback
	needs  *needs // that hear of it; nil where no job depends on the calls
	need   string // how they know it
	holds  bool   // claims
	doing  string
	failed int
	spoken time.Time
}

// complainEvery is how often an error that goes on is logged.
const complainEvery = 10 * time.Second

// failure notes an error, logs it unless that was done a moment ago, and says
// how long to wait.
func (r *retries) failure(err error) time.Duration {
	if r.failed == 0 || time.Since(r.spoken) >= complainEvery {
		r.spoken = time.Now()
		r.log.Warn("cannot "+r.doing+", will try again", "error", err, "failures", r.failed+1)
	}
	if r.needs != nil {
		r.needs.fail(r.need, time.Now(), err, r.holds)
	}
	r.failed++
	wait := retryWait(r.failed)
	if r.back.fresh() {
		wait = min(wait, freshWait)
	}
	return wait
}

func (r *retries) success() {
	if r.failed > 0 {
		r.log.Info("can "+r.doing+" again", "failures", r.failed)
		r.failed = 0
		if r.needs != nil {
			r.needs.meet(r.need)
		}
		r.back.announce()
	}
}

// pause notes an error and waits for the time of the next try.
func (r *retries) pause(ctx context.Context, err error) {
	back := r.back.next()
	timer := time.NewTimer(r.failure(err))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-back:
	case <-timer.C:
	}
}

// retryWait doubles with each failure, up to a bound, less up to a half by chance.
func retryWait(failed int) time.Duration {
	wait := maxRetryWait
	if failed < 7 {
		wait = min(minRetryWait<<(failed-1), maxRetryWait)
	}
	return wait - rand.N(wait/2)
}

// jitter is d ±10 %, so that workers do not march in step.
func jitter(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5+1)
}

// sleep waits, and says whether ctx still goes on.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// nudge sends without waiting: a token that is there already will do.
func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
