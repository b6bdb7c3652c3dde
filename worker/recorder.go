package worker

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/understudy-worker/understudy"
)

const (
	// maxRecord is the most outcomes that are written at a time.
	maxRecord = 5000
	// minRecord is how far that sinks while writes fail.
	minRecord = 250
	// maxUnrecorded is how many outcomes may wait before claiming pauses.
	maxUnrecorded = 10_000
)

// recorder writes outcomes, one write at a time. It writes at once what comes
// while it is idle; what comes during a write makes the next one. A write that
// failed is repeated before anything else is written.
type recorder struct {
	queue    Queue
	observer Observer
	log      *slog.Logger
	lease    *lease        // when it is lost, each outcome has one try
	timeout  time.Duration // of one write
	uncrowd  func()        // called when claiming may go on
	more     chan struct{} // has a token when the recorder waits and has something to do

	mu      sync.Mutex
	fresh   []understudy.Outcome
	waiting bool
	closed  bool // nothing is added any more
	counts  outcomeCounts

	// These belong to the goroutine of run.
	work    []understudy.Outcome // taken from fresh; written up to done
	done    int
	again   []understudy.Outcome // of writes that failed
	retryAt time.Time            // when they are sent again
	troubled
	limit   int // of one write
	retries retries
}

func newRecorder(o Options, lease *lease, uncrowd func()) *recorder {
	return &recorder{
		queue: o.Queue, observer: o.Observer, log: o.Log, lease: lease, timeout: o.Lease, uncrowd: uncrowd,
		more: make(chan struct{}, 1), limit: maxRecord, troubled: troubled{},
		retries: retries{log: o.Log, doing: "record outcomes"},
	}
}

// add hands an outcome over. It never waits for the database.
func (r *recorder) add(o understudy.Outcome) {
	r.mu.Lock()
	r.fresh = append(r.fresh, o)
	r.counts.unrecorded++
	waiting := r.waiting
	r.waiting = false
	r.mu.Unlock()
	if waiting {
		nudge(r.more)
	}
}

// close says that nothing is added any more: run returns when all is written.
func (r *recorder) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	nudge(r.more)
}

// crowded says whether too much waits to be recorded.
func (r *recorder) crowded() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts.unrecorded > maxUnrecorded
}

// run writes until the recorder is closed and empty, or ctx ends. What is left
// then is for others to rescue.
func (r *recorder) run(ctx context.Context) {
	for ctx.Err() == nil {
		if batch, repeated := r.next(); len(batch) > 0 {
			r.write(ctx, batch, repeated)
		} else if !r.wait(ctx) {
			break
		}
	}
	r.abandonAll()
}

// next returns what is to be written now, and whether it may have been written
// before. The slice is valid until the next call.
func (r *recorder) next() (batch []understudy.Outcome, repeated bool) {
	if len(r.again) > 0 {
		if time.Now().Before(r.retryAt) && !r.lease.isLost() {
			return nil, false
		}
		n := min(r.limit, len(r.again))
		batch, r.again = r.again[:n:n], r.again[n:]
		return batch, true // may have been written the first time
	}
	if batch = r.troubled.due(time.Now()); len(batch) > 0 {
		return batch, false
	}
	if r.done == len(r.work) {
		r.swap()
	}
	n := min(r.limit, len(r.work)-r.done)
	batch = r.work[r.done : r.done+n : r.done+n]
	r.done += n
	return batch, false
}

// swap takes what was added, and leaves the array that is done with for more.
func (r *recorder) swap() {
	clear(r.work)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.work, r.fresh, r.done = r.fresh, r.work[:0], 0
	r.waiting = len(r.work) == 0
}

// wait returns when there may be something to write, and false when there
// never will be.
func (r *recorder) wait(ctx context.Context) bool {
	until := r.troubled.next()
	if len(r.again) > 0 {
		until = r.retryAt
	} else if until.IsZero() && r.finished() {
		return false
	}
	lost := r.lease.lost
	if r.lease.isLost() {
		lost = nil
	}
	var alarm <-chan time.Time
	if !until.IsZero() {
		alarm = time.After(time.Until(until))
	}
	select {
	case <-ctx.Done():
	case <-r.more:
	case <-alarm:
	case <-lost:
	}
	return true
}

// finished says whether the recorder is closed and has taken all that was added.
func (r *recorder) finished() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed && len(r.fresh) == 0
}

// write writes one batch and sees to what became of it.
func (r *recorder) write(ctx context.Context, batch []understudy.Outcome, repeated bool) {
	limited, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	begun := time.Now()
	recorded, err := r.queue.Record(limited, batch)
	r.observer.Recorded(len(batch), time.Since(begun), err)
	if err != nil {
		r.failed(batch, err)
		return
	}
	r.retries.success()
	r.limit = min(r.limit*2, maxRecord)
	r.written(batch, recorded, repeated)
}

// failed keeps the batch for another try, in smaller parts. A lost epoch has
// no second try.
func (r *recorder) failed(batch []understudy.Outcome, err error) {
	r.retryAt = time.Now().Add(r.retries.failure(err))
	r.limit = max(r.limit/2, minRecord)
	if r.lease.isLost() {
		r.abandon(batch)
		return
	}
	r.again = append(r.again, batch...)
}
