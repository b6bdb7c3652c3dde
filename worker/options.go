package worker

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/understudy-worker/understudy"
)

// Queue is what the loop needs of a schema's queue, for one epoch. Its calls
// return soon after their context ends, and may be made concurrently.
type Queue interface {
	// Connect has a session ready for every call below.
	Connect(ctx context.Context) error
	// Open starts the epoch and its lease.
	Open(ctx context.Context) error
	// Claim takes due jobs, the most urgent first, and says whether there may be
	// more; if none came, other workers are at them. When its context ends it is
	// broken off, unless the jobs are claimed by then: then it returns them. When
	// it fails, they may have been claimed all the same: Reconcile or End returns
	// them.
	Claim(ctx context.Context, request understudy.ClaimRequest) (jobs []*understudy.Job, more bool, err error)
	// Record writes outcomes. When it fails, any of them may have been
	// written: sent again, those come back as fenced. Without outcomes, it says
	// whether some could be written.
	Record(ctx context.Context, outcomes []understudy.Outcome) (understudy.Recorded, error)
	// Renew extends the lease, or returns understudy.ErrEpochOver.
	Renew(ctx context.Context, draining bool) error
	// Reconcile returns the jobs of claims whose reply was lost to their queue.
	Reconcile(ctx context.Context) (understudy.Reconciled, error)
	// Promote makes jobs claimable whose time has come.
	Promote(ctx context.Context) (understudy.Upkeep, error)
	// Rescue takes the jobs of lost workers back and counts them.
	Rescue(ctx context.Context) (int, error)
	// Prune drops what is older than the retention.
	Prune(ctx context.Context) error
	// End returns whatever the epoch still holds to its queues, and ends it.
	End(ctx context.Context) error
	// Listen calls wake when jobs may be due and cancel when somebody may want
	// one cancelled, once at the start too, until ctx ends or the connection
	// breaks. It calls them in its own goroutine.
	Listen(ctx context.Context, wake, cancel func()) error
}

// Options say what a worker works, and how. Zero durations mean the defaults.
type Options struct {
	Queue Queue
	// Handlers by kind. Jobs of other kinds are left in their queue.
	Handlers understudy.Handlers
	// Queues are the queues to claim from: how many jobs of each run at a time.
	Queues map[string]int

	PollInterval   time.Duration // between looks at an empty queue, ±10 %; default 1s
	Lease          time.Duration // how long the epoch lasts after each renewal; default 30s
	JobTimeout     time.Duration // bounds one attempt; default 0: no bound
	DrainTimeout   time.Duration // how long a drain waits before it cuts jobs short; default 20s
	HardStop       time.Duration // how long a handler may take to notice that; default 10s
	OutcomeTimeout time.Duration // how long a drain tries to record what is left; default 10s

	// MaxBytes is how many bytes of arguments and metadata the worker holds at a
	// time, of jobs that it has claimed and that are not done, shared out equally
	// among its queues; as many may results have that wait to be recorded, with
	// their jobs. A queue always has one job, however large. Default 16 MiB.
	MaxBytes int

	// Check says whether what handlers need is there. It is asked before the
	// first claim and as often as the lease is renewed: while it fails nothing is
	// claimed. It returns soon after its context ends. nil where they need nothing.
	Check func(ctx context.Context) error

	// Running is the process's list of the jobs it runs, shared by all of its
	// workers; nil where there is but one worker.
	Running *Running
	// Key names the schema in Running. The same jobs have the same key.
	Key string
	// Observer is told what happens; nil for nobody.
	Observer Observer
	// Log is where the worker says what people should know; nil for nowhere.
	Log *slog.Logger
}

// Defaults of Options.
const (
	DefaultPollInterval   = time.Second
	DefaultLease          = 30 * time.Second
	DefaultDrainTimeout   = 20 * time.Second
	DefaultHardStop       = 10 * time.Second
	DefaultOutcomeTimeout = 10 * time.Second
	DefaultMaxBytes       = 16 << 20
)

// Limits of Options.
const (
	// MaxConcurrency is the most jobs of one queue that run at a time.
	MaxConcurrency = 10_000
	// MinLease is the shortest lease: it must outlast a few round trips.
	MinLease = 100 * time.Millisecond
)

// complete checks the options and fills in the defaults.
func (o Options) complete() (Options, error) {
	if err := o.check(); err != nil {
		return o, err
	}
	o.PollInterval = orDefault(o.PollInterval, DefaultPollInterval)
	o.Lease = orDefault(o.Lease, DefaultLease)
	o.DrainTimeout = orDefault(o.DrainTimeout, DefaultDrainTimeout)
	o.HardStop = orDefault(o.HardStop, DefaultHardStop)
	o.OutcomeTimeout = orDefault(o.OutcomeTimeout, DefaultOutcomeTimeout)
	if o.MaxBytes == 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.Running == nil {
		o.Running = &Running{}
	}
	if o.Observer == nil {
		o.Observer = NoObserver{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

// bad is an error that names the option at fault.
func bad(option, problem string, args ...any) error {
	return fmt.Errorf("worker option "+option+" "+problem, args...)
}

func (o Options) check() error {
	if o.Queue == nil {
		return bad("Queue", "is nil: give the schema's queue")
	}
	if o.Running != nil && o.Key == "" {
		return bad("Key", "is empty: a shared Running needs the name of the schema")
	}
	if err := checkHandlers(o.Handlers); err != nil {
		return err
	}
	if err := checkQueues(o.Queues); err != nil {
		return err
	}
	if o.MaxBytes < 0 {
		return bad("MaxBytes", "is %d: use a positive number", o.MaxBytes)
	}
	return o.checkDurations()
}

func checkHandlers(handlers understudy.Handlers) error {
	for _, kind := range handlers.Kinds() {
		if kind == "" {
			return bad("Handlers", "has an empty kind")
		}
		if handlers[kind] == nil {
			return bad("Handlers", "has no handler for kind %q: it is nil", kind)
		}
	}
	return nil
}

func checkQueues(queues map[string]int) error {
	if len(queues) == 0 {
		return bad("Queues", "is empty: name a queue and its concurrency")
	}
	for queue, concurrency := range queues {
		if queue == "" {
			return bad("Queues", "has a queue without a name")
		}
		if concurrency < 1 || concurrency > MaxConcurrency {
			return bad("Queues", "gives queue %q the concurrency %d: use 1 to %d", queue, concurrency, MaxConcurrency)
		}
	}
	return nil
}

func (o Options) checkDurations() error {
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"PollInterval", o.PollInterval}, {"Lease", o.Lease}, {"JobTimeout", o.JobTimeout},
		{"DrainTimeout", o.DrainTimeout}, {"HardStop", o.HardStop}, {"OutcomeTimeout", o.OutcomeTimeout},
	} {
		if d.value < 0 {
			return bad(d.name, "is %s: use a positive duration", d.value)
		}
	}
	if o.Lease > 0 && o.Lease < MinLease {
		return bad("Lease", "is %s: use at least %s", o.Lease, MinLease)
	}
	return nil
}
