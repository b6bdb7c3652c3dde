package supervisor

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/reload"
)

// Env is what an epoch has to work with.
type Env struct {
	Role, Target, Schema, Version string
	// TemplateHash is the pod template hash of the revision, "" outside Argo Rollouts.
	TemplateHash string
	// Pool is connected to the target. It outlives the epoch, which does not close it.
	Pool *pgxpool.Pool
	// DrainTimeout is how long running jobs may take to end once the epoch's context has ended.
	DrainTimeout time.Duration
	// Pooled says that a transaction pooler stands before the server.
	Pooled bool

	met *standbys
}

// MetStandby says whether what was tried on the pool since then, and came to this
// error, had sessions of a standby, or none since there was nothing but one: then
// whoever tried is not to blame.
func (e Env) MetStandby(ctx context.Context, since time.Time, err error) bool {
	return errors.Is(err, ErrStandby) || e.met != nil && e.met.met(ctx, e.Pool, since)
}

// Place is where the epoch works.
func (e Env) Place() understudy.Place {
	return understudy.Place{Role: e.Role, Target: e.Target, Schema: e.Schema, Version: e.Version}
}

// Options are what a supervisor needs.
type Options struct {
	// Snapshots say what to do; the latest counts. It is never closed.
	Snapshots <-chan reload.Snapshot
	// Version is the version of this worker.
	Version string
	// Serve runs for the length of one epoch. When ctx ends it stops taking
	// work, sees that what it holds is recorded or released, and returns: within
	// the target's drain timeout plus Grace, or the process has to end. An error
	// while ctx lasts starts a new epoch after a while; one made by Fatal ends Run.
	Serve func(ctx context.Context, env Env) error
	// Prepare makes a target ready once it is connected: migrations, above all.
	// It is called again, after a while, until it returns nil. nil for nothing to do.
	Prepare func(ctx context.Context, pool *pgxpool.Pool, target reload.Target) error
	// Targets lists the targets that are configured, as they stand now, so that two
	// names for one place are found out: the first of them is served, and no other.
	// Of one that cannot be read only Name is set. nil for no comparison.
	Targets func() []reload.Target
	// Lease is how long the server lets a session of ours idle inside a
	// transaction. 0 for no limit.
	Lease time.Duration
	// Grace is how long Serve may take beyond its drain timeout; 30 s when 0.
	Grace time.Duration
	// Observe is told how long a phase of a swap took: drain, open or swap
	// (from the snapshot to the new epoch). nil for nobody.
	Observe func(phase string, took time.Duration)
	// KeepSession says that Serve uses the pool: one session of it stays open,
	// however idle, once it was opened.
	KeepSession bool
	// Tracer is told of every statement on the pools, and on those that are
	// derived from them. nil for nobody.
	Tracer pgx.QueryTracer
	Log    *slog.Logger
}

const defaultGrace = 30 * time.Second

func (o Options) check() error {
	switch {
	case o.Snapshots == nil:
		return errors.New("supervisor: Options.Snapshots is nil")
	case o.Serve == nil:
		return errors.New("supervisor: Options.Serve is nil")
	case o.Log == nil:
		return errors.New("supervisor: Options.Log is nil")
	}
	return nil
}

// Fatal marks an error of Serve or Prepare that this process cannot outlive:
// Run returns it, and the process ends.
func Fatal(err error) error { return &fatalError{err} }

type fatalError struct{ err error }

func (e *fatalError) Error() string { return e.err.Error() }
func (e *fatalError) Unwrap() error { return e.err }

func isFatal(err error) bool {
	var fatal *fatalError
	return errors.As(err, &fatal)
}
