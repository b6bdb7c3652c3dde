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
	// minBeside is how many outcomes must wait for a second write to begin
	// beside the first: fewer are better written together with those to come.
	minBeside = 1000
	// maxWrites is the most writes at a time: while one waits for the server
	// and its disk, this process makes up the other.
	maxWrites = 2
	// maxUnrecorded is how many outcomes may wait before claiming pauses.
	maxUnrecorded = 10_000
)

// outcomeBytes is what an outcome and its job take, about.
func outcomeBytes(o *understudy.Outcome) int {
	return len(o.Job.Args) + len(o.Job.Metadata) + len(o.Job.Result()) + len(o.Error)
}

func bytesOf(outcomes []understudy.Outcome) (bytes int) {
	for i := range outcomes {
		bytes += outcomeBytes(&outcomes[i])
	}
	return bytes
}

// recorder writes outcomes. It writes at once what comes while it is idle;
// what comes during a write makes the next one. A write that failed is repeated
// before anything else is written.
type recorder struct {
	queue    Queue
	observer Observer
	log      *slog.Logger
	lease    *lease        // when it is lost, each outcome has one try
	timeout  time.Duration // of one write
	maxBytes int           // of outcomes that wait before claiming pauses, and of one write
	uncrowd  func()        // called when claiming may go on
	more     chan struct{} // has a token when the recorder waits and has something to do

	mu     sync.Mutex
	fresh  []understudy.Outcome
	wakeAt int  // how many fresh outcomes the recorder waits for; 0 while it does not
	closed bool // nothing is added any more
	counts outcomeCounts
	begun  map[*attempt]time.Time // writes that are under way, and when they began

	// These belong to the goroutine of run.
	writing int                  // writes that are under way
	written chan *attempt        // what became of them
	again   []understudy.Outcome // of writes that failed
	retryAt time.Time            // when they are sent again
	askAt   time.Time            // when to ask whether outcomes could be written, if none was by then
	troubled
	limit    int           // of one write
	askEvery time.Duration // while none is written
	retries  retries
}

// attempt is one write of a batch, and what became of it.
type attempt struct {
	batch    []understudy.Outcome
	repeated bool // the batch may have been written before
	recorded understudy.Recorded
	err      error
}

func newRecorder(o Options, retries retries, lease *lease, uncrowd func()) *recorder {
	return &recorder{
		queue: o.Queue, observer: o.Observer, log: o.Log, lease: lease, timeout: o.Lease, maxBytes: o.MaxBytes, uncrowd: uncrowd,
		more: make(chan struct{}, 1), written: make(chan *attempt, maxWrites), limit: maxRecord, troubled: troubled{},
		retries: retries, askEvery: o.Lease / renewals, askAt: time.Now().Add(o.Lease / renewals), begun: map[*attempt]time.Time{},
	}
}

// add hands an outcome over. It never waits for the database.
func (r *recorder) add(o understudy.Outcome) {
	bytes := outcomeBytes(&o)
	r.mu.Lock()
	r.fresh = append(r.fresh, o)
	r.counts.unrecorded++
	r.counts.bytes += bytes
	enough := r.wakeAt > 0 && len(r.fresh) >= r.wakeAt
	if enough {
		r.wakeAt = 0
	}
	r.mu.Unlock()
	if enough {
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

func (r *recorder) isClosed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed
}

// crowded says whether too much waits to be recorded.
func (r *recorder) crowded() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.crowds(r.counts)
}

func (r *recorder) crowds(c outcomeCounts) bool {
	return c.unrecorded > maxUnrecorded || c.bytes > r.maxBytes
}

// run writes until the recorder is closed and empty, or ctx ends. What is left
// then is for others to rescue.
func (r *recorder) run(ctx context.Context) {
	for ctx.Err() == nil {
		if batch, repeated := r.next(); len(batch) > 0 {
			r.begin(ctx, batch, repeated)
		} else if r.finished() {
			break
		} else if r.asks() {
			r.begin(ctx, nil, false)
		} else if !r.wait(ctx) {
			break
		}
	}
	for r.writing > 0 {
		r.settle(<-r.written)
	}
	r.abandonAll()
}

// begin starts to write a batch.
func (r *recorder) begin(ctx context.Context, batch []understudy.Outcome, repeated bool) {
	r.writing++
	a, begun := &attempt{batch: batch, repeated: repeated}, time.Now()
	r.mu.Lock()
	r.begun[a] = begun
	r.mu.Unlock()
	go func() {
		limited, cancel := context.WithTimeout(ctx, r.timeout)
		defer cancel()
		a.recorded, a.err = r.queue.Record(limited, batch)
		if len(batch) > 0 {
			r.observer.Recorded(len(batch), time.Since(begun), a.err)
		}
		r.written <- a // has room for every write that is under way
	}()
}

// next returns what is to be written now, and whether it may have been written
// before. While a batch is to be sent again, nothing else is.
func (r *recorder) next() (batch []understudy.Outcome, repeated bool) {
	if len(r.again) > 0 {
		if r.writing > 0 || time.Now().Before(r.retryAt) && !r.lease.isLost() {
			return nil, false
		}
		n := r.fitting(r.again)
		batch, r.again = r.again[:n:n], r.again[n:]
		return batch, true // may have been written the first time
	}
	if r.writing == maxWrites {
		return nil, false
	}
	if batch = r.troubled.due(time.Now()); len(batch) > 0 {
		return batch, false
	}
	return r.takeFresh(), false
}

// asks says whether to ask now if outcomes could be written: so a worker that has
// lost its way to do so finds out before it has some.
func (r *recorder) asks() bool {
	return r.writing == 0 && len(r.again) == 0 && !time.Now().Before(r.askAt)
}

// overdue notes writes that began by then and are not answered.
func (r *recorder) overdue(by time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, begun := range r.begun {
		if !begun.After(by) {
			r.retries.needs.fail(r.retries.need, begun, errNoAnswer, r.retries.holds)
			return
		}
	}
}

// takeFresh takes what was added, if it is enough for a write now.
func (r *recorder) takeFresh() []understudy.Outcome {
	r.mu.Lock()
	defer r.mu.Unlock()
	enough := 1
	if r.writing > 0 {
		enough = minBeside
	}
	if len(r.fresh) < enough {
		r.wakeAt = enough
		return nil
	}
	n := r.fitting(r.fresh)
	batch := r.fresh[:n:n]
	if r.fresh = r.fresh[n:]; len(r.fresh) == 0 {
		r.fresh = nil // it would keep the batch in memory
	}
	return batch
}

// fitting is how many of the outcomes one write takes: it has all of them in
// memory, in more than one form.
func (r *recorder) fitting(outcomes []understudy.Outcome) (n int) {
	for bytes := 0; n < min(r.limit, len(outcomes)); n++ {
		if bytes += outcomeBytes(&outcomes[n]); bytes > r.maxBytes && n > 0 {
			break
		}
	}
	return n
}

// wait returns when there may be something to write, and false when ctx ends.
func (r *recorder) wait(ctx context.Context) bool {
	until := r.troubled.next()
	if until.IsZero() || r.askAt.Before(until) {
		until = r.askAt
	}
	if len(r.again) > 0 {
		until = r.retryAt
	}
	if r.writing > 0 { // what they wait for is looked at when a write has ended
		until = time.Time{}
	}
	lost, back := r.lease.lost, r.retries.back.next()
	if r.lease.isLost() {
		lost = nil
	}
	var alarm <-chan time.Time
	if !until.IsZero() {
		alarm = time.After(time.Until(until))
	}
	select {
	case <-ctx.Done():
		return false
	case <-r.more:
	case a := <-r.written:
		r.settle(a)
	case <-alarm:
	case <-back:
		r.retryAt = time.Time{}
		if r.retries.failed > 0 {
			r.askAt = time.Time{}
		}
	case <-lost:
	}
	return true
}

// finished says whether the recorder is closed and all that was added is
// written, or given up.
func (r *recorder) finished() bool {
	if r.writing > 0 || len(r.again) > 0 || len(r.troubled) > 0 {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed && len(r.fresh) == 0
}

// settle sees to what became of a write.
func (r *recorder) settle(a *attempt) {
	r.writing--
	r.mu.Lock()
	delete(r.begun, a)
	r.mu.Unlock()
	if a.err != nil {
		r.failed(a.batch, a.err)
		return
	}
	r.retries.success()
	r.retries.needs.meet(r.retries.need) // a write may have been overdue and not failed
	r.askAt = time.Now().Add(r.askEvery)
	r.limit = min(r.limit*2, maxRecord)
	r.count(r.recorded(*a))
}

// failed keeps the batch for another try, in smaller parts. A lost epoch has
// no second try.
func (r *recorder) failed(batch []understudy.Outcome, err error) {
	r.retryAt = time.Now().Add(r.retries.failure(err))
	r.askAt = r.retryAt
	r.limit = max(r.limit/2, minRecord)
	if r.lease.isLost() {
		r.abandon(batch)
		return
	}
	r.again = append(r.again, batch...)
}
