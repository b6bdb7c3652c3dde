package dashboard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/understudy-worker/understudy"
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
	// Detail is more about the worker, as JSON under "worker" in /api/status.
	// nil, or a nil result, leaves it out.
	Detail func() any
	// Podinfo is what is known of the pod's files, as JSON under "podinfo" in
	// /api/status. nil, or a nil result, leaves it out.
	Podinfo func() any
	// Version and Commit are those of this binary.
	Version, Commit string
	// ReadyRequires names the targets that must be served, once wanted, for
	// the process to be ready.
	ReadyRequires []string
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

func (o Options) check() error {
	for _, field := range []struct {
		name    string
		missing bool
	}{
		{"Status", o.Status == nil},
		{"Ticked", o.Ticked == nil},
		{"Count", o.Count == nil},
		{"Enqueue", o.Enqueue == nil},
		{"Gatherer", o.Gatherer == nil},
		{"Log", o.Log == nil},
	} {
		if field.missing {
			return fmt.Errorf("dashboard: Options.%s is nil", field.name)
		}
	}
	return nil
}
