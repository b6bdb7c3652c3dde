package tester

import (
	"context"
	"sync"
	"time"

	"github.com/understudy-worker/understudy/store"
)

// lastJobs is how many of the jobs are shown.
const lastJobs = 10

// look is what a side was like at one moment. It is immutable.
type look struct {
	began   time.Time // zero before the first
	place   Place
	trouble *Trouble // nil where it could be seen
	workers []store.WorkerRow
	counts  counts
	jobs    []store.RecentJob
}

// watch looks at one side: by one goroutine, however many want to know, so that
// a slow one has one question to answer at a time.
type watch struct {
	*Side
	timeout time.Duration // of a look
	asked   chan struct{}
	counter counter // of run's

	mu     sync.Mutex
	latest look
	newer  chan struct{} // closed when latest is replaced
}

func newWatch(side *Side, timeout time.Duration) *watch {
	return &watch{Side: side, timeout: timeout, counter: counter{timeout: timeout}, asked: make(chan struct{}, 1), newer: make(chan struct{})}
}

// run looks whenever somebody asks, until ctx ends.
func (w *watch) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.asked:
			w.publish(w.look(ctx))
		}
	}
}

func (w *watch) publish(l look) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.latest = l
	close(w.newer)
	w.newer = make(chan struct{})
}

func (w *watch) current() (l look, newer <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.latest, w.newer
}

// since is what the side is like from that moment on or, if it does not say so
// in time, what it was like before.
func (w *watch) since(ctx context.Context, moment time.Time, timeout time.Duration) look {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for {
		latest, newer := w.current()
		if !latest.began.Before(moment) {
			return latest
		}
		select {
		case w.asked <- struct{}{}:
		default: // it is to be looked at already
		}
		select {
		case <-newer:
		case <-ctx.Done():
			return latest
		}
	}
}

// look asks the side.
func (w *watch) look(ctx context.Context) look {
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	l := look{began: time.Now()}
	var err error
	if l.place, err = w.Find(ctx); err == nil {
		err = l.read(ctx)
	}
	if err == nil {
		l.counts, err = w.counter.count(ctx, l.place)
	}
	if err != nil {
		return look{began: l.began, place: l.place, trouble: w.trouble(l.place, err, w.timeout)}
	}
	return l
}

func (l *look) read(ctx context.Context) error {
	var err error
	if l.workers, err = l.place.Store.Live(ctx); err != nil {
		return err
	}
	l.jobs, err = l.place.Store.RecentJobs(ctx, lastJobs)
	return err
}
