package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/dashboard"
	"github.com/understudy-worker/understudy/handlers"
	"github.com/understudy-worker/understudy/reload"
	"github.com/understudy-worker/understudy/store"
	"github.com/understudy-worker/understudy/supervisor"
	"github.com/understudy-worker/understudy/worker"
)

// server serves epochs, one after another.
type server struct {
	options Options
	config  reload.Config
	pod     string
	log     *slog.Logger
	metrics *dashboard.Metrics
	traces  *traces        // nil for none
	running worker.Running // what this process runs, across epochs
	now     atomic.Pointer[epoch]
	count   atomic.Int64   // jobs completed in epochs that are over
	closing sync.WaitGroup // of the connections of epochs that are over
}

// epoch is the one under way, for those who look at it.
type epoch struct {
	env    supervisor.Env
	jobs   *placedJobs
	worker *worker.Worker
}

// serve is one epoch, from its handlers' making to its last outcome.
func (s *server) serve(ctx context.Context, env supervisor.Env) error {
	life, over := context.WithCancel(context.WithoutCancel(ctx))
	defer over()
	all, release, err := s.handlers(life, env)
	if err != nil {
		return err
	}
	defer release()
	queue, err := store.NewQueue(env.Pool, s.queueOptions(env))
	if err != nil {
		return err
	}
	s.closeAfter(life, queue.Close)
	jobs, err := s.openJobs(life, env)
	if err != nil {
		return err
	}
	observer := s.metrics.Epoch(env.Place(), all.Kinds(), slices.Sorted(maps.Keys(s.config.Queues)))
	defer observer.End()
	w, err := worker.New(s.workerOptions(env, queue, s.traces.handlers(all, env.Place()), observer))
	if err != nil {
		return err
	}
	s.now.Store(&epoch{env: env, jobs: jobs, worker: w})
	defer func() {
		s.now.Store(nil)
		s.count.Add(completedBy(w))
	}()
	err = w.Run(ctx)
	var stuck *worker.StuckError
	if errors.As(err, &stuck) {
		return supervisor.Fatal(err)
	}
	return explainReadOnly(context.WithoutCancel(ctx), env.Pool, err)
}

// closeAfter closes an epoch's connections once its life ends, beside whatever
// comes next: closing one may take long where the server is away.
func (s *server) closeAfter(life context.Context, closeAll func()) {
	s.closing.Go(func() {
		<-life.Done()
		closeAll()
	})
}

// handlers makes the epoch's handlers: the program's own go before the configured ones.
func (s *server) handlers(ctx context.Context, env supervisor.Env) (understudy.Handlers, func(), error) {
	all, release, err := handlers.All(s.config.Handlers, env.Place())
	if err != nil || s.options.Handlers == nil {
		return all, release, err
	}
	own, err := s.options.Handlers(ctx, env)
	if err != nil {
		release()
		return nil, nil, fmt.Errorf("make handlers for target %q: %w", env.Target, err)
	}
	maps.Copy(all, s.excused(own, env))
	return all, release, nil
}

func (s *server) queueOptions(env supervisor.Env) store.QueueOptions {
	c := s.config.Worker
	return store.QueueOptions{
		Pod: s.pod, TemplateHash: env.TemplateHash, Place: env.Place(), Lease: c.Lease,
		MaxLosses: c.MaxLosses, Retention: c.Retention, Pooled: env.Pooled,
	}
}

func (s *server) workerOptions(env supervisor.Env, queue worker.Queue, all understudy.Handlers, observer worker.Observer) worker.Options {
	c := s.config.Worker
	queues := map[string]int{}
	for name, q := range s.config.Queues {
		queues[name] = q.Concurrency
	}
	return worker.Options{
		Queue: queue, Handlers: all, Queues: queues, PollInterval: c.PollInterval, Lease: c.Lease, JobTimeout: c.JobTimeout,
		Check: s.check(env.Pool), DrainTimeout: env.DrainTimeout, MaxBytes: c.MaxBytes, Running: &s.running, Key: env.Target + "/" + env.Schema,
		Observer: observer, Log: s.log.With("role", env.Role, "target", env.Target, "schema", env.Schema),
	}
}

// completed counts the jobs that this process completed.
func (s *server) completed() int64 {
	count := s.count.Load()
	if now := s.now.Load(); now != nil {
		count += completedBy(now.worker)
	}
	return count
}

// opened says whether the epoch has begun in the database too.
func (e *epoch) opened() bool {
	state := e.worker.State()
	return state != worker.StateNew && state != worker.StateOpening
}

// check says whether the program's own handlers have a session to work on, nil
// where there are no such handlers. Where they hold all that there may be, they do.
func (s *server) check(pool *pgxpool.Pool) func(context.Context) error {
	if s.options.Handlers == nil {
		return nil
	}
	return func(ctx context.Context) error {
		conn, err := pool.Acquire(ctx)
		switch stat := pool.Stat(); {
		case err == nil:
			conn.Release()
		case stat.AcquiredConns() > 0: // at least one is there
		default:
			return fmt.Errorf("have a session for handlers: %w", err)
		}
		return nil
	}
}

// enqueue puts a job into the target that is being served.
func (s *server) enqueue(ctx context.Context, kind string, args any) (int64, error) {
	now := s.now.Load()
	if now == nil {
		return 0, dashboard.ErrNothingServed
	}
	return now.jobs.Enqueue(ctx, store.NewJob{Kind: kind, Args: args})
}

// podName is the pod's name: POD_NAME where the Downward API gives it, else the
// host's name, which in Kubernetes is the pod's.
func podName(environ []string) string {
	for _, variable := range environ {
		if name, ok := strings.CutPrefix(variable, "POD_NAME="); ok && name != "" {
			return name
		}
	}
	name, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return name
}

// completedBy counts the jobs that one epoch completed.
func completedBy(w *worker.Worker) int64 {
	return w.Status().Recorded[understudy.Completed.String()]
}
