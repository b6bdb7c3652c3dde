package dashboard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/store"
)

// ErrNothingServed is what Options.Enqueue returns, wrapped or not, when the
// worker has no target to enqueue to.
var ErrNothingServed = errors.New("no target is being served")

// Options are what the handler needs to know of its worker. Every function is
// called from many goroutines at a time, must return at once unless it takes a
// context, and returns what is the caller's to keep.
type Options struct {
	// Status is what the process is doing now. Its Problem is shown to whoever
	// may read /api/status, and so must hold no secret.
	Status func() understudy.Status
	// Ticked is when the supervisor's loop last went round: the process is not
	// live if that is longer ago than ten seconds.
	Ticked func() time.Time
	// Count is how many jobs this process has completed.
	Count func() int64
	// Enqueue enqueues a job to the target that this worker serves, and returns
	// its id. Without a target it returns ErrNothingServed.
	Enqueue func(ctx context.Context, kind string, args any) (id int64, err error)
	// Worker is what the worker of the epoch under way does, nil without one.
	Worker func() *understudy.WorkerStatus
	// Podinfo is what is known of the pod's files.
	Podinfo func() Podinfo
	// Where is the server of the epoch under way, nil without one.
	Where func() *Where
	// Pool counts the connections of the epoch under way, nil without one.
	Pool func() *Pool
	// Jobs are those of the target that is being served, nil without one.
	Jobs func() Jobs
	// Metrics remember what the process did.
	Metrics *Metrics
	// Version and Commit are those of this binary, Pod the name of its pod.
	Version, Commit, Pod string
	// Lease is how long an epoch lasts after each renewal.
	Lease time.Duration
	// ReadyRequires names the targets that must be served, once wanted, for
	// the process to be ready.
	ReadyRequires []string
	// Hosts are further names that lead here: see web.Options.
	Hosts []string
	// ReadOnly refuses every request that would change something.
	ReadOnly bool
	// Token is the bearer token that all but the probes, /version and /metrics
	// ask for; white space around it does not count. It is called once a
	// request, so that a token can be rotated. nil means that none is asked for.
	Token func() (string, error)
	// Gatherer holds the metrics.
	Gatherer prometheus.Gatherer
	Log      *slog.Logger
}

// Podinfo is how well a process can see its pod's files, and what they say.
type Podinfo struct {
	// ReadAt is when they were last read well, zero before that.
	ReadAt time.Time `json:"read_at"`
	// Rearms counts how often a directory had to be watched anew.
	Rearms int64 `json:"rearms"`
	// Watching says whether every directory is watched.
	Watching bool `json:"watching"`
	// Err is what is wrong with the files or their watch, "" if nothing is.
	Err string `json:"error,omitempty"`
	// Labels are the pod's labels as last read.
	Labels map[string]string `json:"labels,omitempty"`
}

// Where says which server an epoch works on.
type Where struct {
	Server   string // host:port, or the directory of a socket
	Database string
}

// Jobs are the jobs of one place, in one epoch: a *store.Store and which it is.
type Jobs interface {
	Place() understudy.Place
	// Workers lists the last epochs, the newest first.
	Workers(ctx context.Context, limit int) ([]store.WorkerRow, error)
	// Depth counts the jobs that are due, up to limit.
	Depth(ctx context.Context, limit int) (jobs int64, err error)
	// Search finds a page of jobs, and Job one of them.
	Search(ctx context.Context, search store.Search) (store.Found, error)
	Job(ctx context.Context, id int64) (store.JobRow, error)
	// Retry, RetryCompleted and Cancel change a job and return its state.
	Retry(ctx context.Context, id int64) (understudy.State, error)
	RetryCompleted(ctx context.Context, id int64) (understudy.State, error)
	Cancel(ctx context.Context, id int64) (understudy.State, error)
}

func (o Options) check() error {
	for _, field := range []struct {
		name    string
		missing bool
	}{
		{"Status", o.Status == nil},
		{"Ticked", o.Ticked == nil},
		{"Count", o.Count == nil},
		{"Enqueue", o.Enqueue == nil},
		{"Worker", o.Worker == nil},
		{"Podinfo", o.Podinfo == nil},
		{"Where", o.Where == nil},
		{"Pool", o.Pool == nil},
		{"Jobs", o.Jobs == nil},
		{"Metrics", o.Metrics == nil},
		{"Gatherer", o.Gatherer == nil},
		{"Log", o.Log == nil},
	} {
		if field.missing {
			return fmt.Errorf("dashboard: Options.%s is nil", field.name)
		}
	}
	return nil
}
