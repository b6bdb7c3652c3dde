package worker

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Worker works the jobs of one schema for the length of one epoch.
type Worker struct {
	options  Options
	kinds    []string
	timeUp   error // cause of a job whose time is up
	running  *jobSet
	lines    []*line
	recorder *recorder
	lease    *lease
	back     *comeback
	needs    *needs

	reconcile chan struct{} // has a token when claims and cancellations are to be looked at
	idle      chan struct{} // closed when the last slot has ended
	slotsLeft atomic.Int64
	claimed   atomic.Int64 // jobs, in all
	used      atomic.Bool  // Run was called
	chores    chores
	state     atomic.Pointer[string]
}

// New makes a worker. It starts nothing. The error names the option at fault.
func New(options Options) (*Worker, error) {
	options, err := options.complete()
	if err != nil {
		return nil, err
	}
	w := &Worker{
		options:   options,
		kinds:     options.Handlers.Kinds(),
		timeUp:    &timeoutError{options.JobTimeout},
		running:   options.Running.at(options.Key),
		reconcile: make(chan struct{}, 1),
		idle:      make(chan struct{}),
		back:      newComeback(),
	}
	w.needs = &needs{failing: map[string]failing{}, met: w.feedAll}
	w.setState(StateNew)
	w.lease = newLease(options, w.needing("renew the lease", true), func() { nudge(w.reconcile) })
	w.recorder = newRecorder(options, w.needing("record outcomes", true), w.lease, w.feedAll)
	for queue, concurrency := range options.Queues {
		w.addLine(queue, concurrency)
	}
	slices.SortFunc(w.lines, func(a, b *line) int { return cmp.Compare(a.queue, b.queue) })
	return w, nil
}

func (w *Worker) addLine(queue string, concurrency int) {
	l := &line{
		queue: queue, concurrency: concurrency,
		buffer: newBuffer(concurrency, w.options.MaxBytes/len(w.options.Queues)),
		wake:   make(chan struct{}, 1),
		slots:  make([]*slot, concurrency),
	}
	for i := range l.slots {
		l.slots[i] = &slot{Worker: w, line: l}
	}
	w.lines = append(w.lines, l)
}

// Run works jobs from Open to End. When ctx ends it drains: it claims no more,
// releases what has not started, lets the handlers finish until the drain's
// deadline, cuts the rest short, and records it all. It returns
//
//   - nil after that, also where the server could not be reached: what could
//     not be recorded then is left for rescue;
//   - understudy.ErrEpochOver when the lease was lost: every handler has
//     returned, and a new epoch may begin;
//   - a *StuckError, which is an ErrStuck, when a handler has not returned
//     though it was told to: the process must exit;
//   - what Open returned.
//
// Nothing of it goes on after that but the handlers of a StuckError. A worker
// runs once.
func (w *Worker) Run(ctx context.Context) error {
	if w.used.Swap(true) {
		return errors.New("run a worker a second time: make a new one for every epoch")
	}
	w.setState(StateOpening)
	defer w.setState(StateEnded)
	if err := w.open(ctx); err != nil {
		return w.unopened(ctx, err)
	}
	w.setState(StateServing)
	w.options.Log.Info("serving")
	e := w.begin(ctx)
	select {
	case <-ctx.Done():
	case <-w.lease.lost:
	}
	return e.finish()
}

// open starts the epoch, once all is there that its jobs need. The lease counts
// from before.
func (w *Worker) open(ctx context.Context) error {
	if err := w.connect(ctx); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, w.options.Lease/2)
	defer cancel()
	w.lease.confirm(time.Now())
	return w.options.Queue.Open(limited)
}

// connectTimeout bounds how long the sessions of an epoch may take to be there. A
// server that is too busy to make them at once is not helped by who gives up and
// begins again.
const connectTimeout = time.Minute

// connect sees that all is there that the epoch's jobs need.
func (w *Worker) connect(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if w.options.Check != nil {
		if err := w.options.Check(limited); err != nil {
			return err
		}
	}
	return w.options.Queue.Connect(limited)
}

// unopenedGrace is how long the end of an epoch may take that did not open.
const unopenedGrace = 2 * time.Second

// unopened ends an epoch whose Open failed: it may have begun all the same. A
// demotion meanwhile is no error.
func (w *Worker) unopened(ctx context.Context, err error) error {
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), unopenedGrace)
	defer cancel()
	if endErr := w.options.Queue.End(limited); endErr != nil {
		w.options.Log.Debug("cannot end an epoch that did not open", "error", endErr)
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// epoch is a worker that runs: its goroutines and the contexts they have.
type epoch struct {
	*Worker
	serving  scope // until demotion: claimers, housekeeping
	claiming scope // a little longer: claims that are under way, until nothing is begun any more
	outcomes scope // until all is recorded: the recorder
	holding  scope // until then too: lease, listener, reconciler

	front, back, recording sync.WaitGroup
}

// scope is a context and what ends it.
type scope struct {
	context.Context
	end context.CancelFunc
}

func newScope(ctx context.Context) scope {
	inner, end := context.WithCancel(ctx)
	return scope{inner, end}
}

// begin starts the goroutines.
func (w *Worker) begin(ctx context.Context) *epoch {
	beyond := context.WithoutCancel(ctx)
	e := &epoch{
		Worker:  w,
		serving: newScope(ctx), claiming: newScope(beyond), outcomes: newScope(beyond), holding: newScope(beyond),
	}
	e.startSlots(beyond)
	e.recording.Go(func() { w.recorder.run(e.outcomes) })
	e.back.Go(func() { w.lease.keep(e.holding) })
	e.back.Go(func() { w.reconcileClaims(e.holding) })
	e.back.Go(func() { w.listen(e.holding) })
	e.front.Go(func() { w.promote(e.serving) })
	e.front.Go(func() { w.tidy(e.serving) })
	e.front.Go(func() { w.releaseStale(e.serving) })
	e.front.Go(func() { w.watchNeeds(e.serving) })
	if len(w.kinds) == 0 {
		w.options.Log.Warn("claims nothing: no kind of job has a handler")
		return e
	}
	for _, l := range w.lines {
		c := &claimer{Worker: w, line: l, retries: w.needing("claim jobs", false)}
		c.retries.need += " of queue " + l.queue
		e.front.Go(func() { c.run(e.serving, e.claiming) })
	}
	return e
}

// startSlots starts the goroutines that run handlers. They end when the
// buffers are closed.
func (w *Worker) startSlots(jobs context.Context) {
	for _, l := range w.lines {
		w.slotsLeft.Add(int64(len(l.slots)))
	}
	for _, l := range w.lines {
		for _, s := range l.slots {
			go s.run(jobs)
		}
	}
}

// needing is retrying what jobs depend on: while it fails, people hear of it, and
// claims are held up if they are to be.
func (w *Worker) needing(doing string, holds bool) retries {
	r := w.retrying(doing)
	r.needs, r.need, r.holds = w.needs, doing, holds
	return r
}

func (w *Worker) retrying(doing string) retries {
	return retries{log: w.options.Log, back: w.back, doing: doing}
}
