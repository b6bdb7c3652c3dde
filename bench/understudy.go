package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/app"
	"github.com/understudy-worker/understudy/internal/kubelet"
	"github.com/understudy-worker/understudy/internal/tail"
	"github.com/understudy-worker/understudy/store"
	"github.com/understudy-worker/understudy/supervisor"
)

// The targets that an Understudy worker is configured with, each with a schema
// of its name, by the role that leads there.
var targets = map[string]string{"active": "production", "preview": "preview"}

// understudySystem is Understudy as it is shipped: a whole worker process that
// follows its pod's files.
func understudySystem() system {
	return system{
		key: understudyKey, title: "Understudy",
		migrate: func(ctx context.Context, db *pgxpool.Pool) error {
			for _, schema := range targets {
				if err := store.Migrate(ctx, db.Config().ConnConfig, store.MigrateOptions{Schema: schema}); err != nil {
					return err
				}
			}
			return nil
		},
		open: func(db *pgxpool.Pool) (producer, error) { return understudyProducer(db, "production") },
		work: understudyEngine,
		// Counted in the transaction that finishes a job.
		idle: func(ctx context.Context, db *pgxpool.Pool, completed int) (idle bool, err error) {
			return idle, db.QueryRow(ctx, "SELECT coalesce(sum(jobs), 0) >= $1 FROM production.finished_counts WHERE state = 'completed'",
				completed).Scan(&idle)
		},
		openSQL:       "SELECT count(*) FROM production.open_jobs WHERE scheduled_at <= now()",
		finishedSQL:   "SELECT count(*) FROM production.finished_jobs WHERE state = 'completed'",
		finishedRows:  understudyFinished,
		scheduledRows: writes(understudyScheduled),
	}
}

func understudyProducer(db *pgxpool.Pool, schema string) (producer, error) {
	s, err := store.New(db, schema)
	if err != nil {
		return producer{}, err
	}
	enqueue := "SELECT " + pgx.Identifier{schema}.Sanitize() + ".enqueue($1, $2)"
	return producer{
		one: func(ctx context.Context, job jobArgs) error {
			_, err := s.Enqueue(ctx, store.NewJob{Kind: jobKind, Args: job})
			return err
		},
		batch: func(ctx context.Context, jobs []jobArgs) error {
			batch := make([]store.NewJob, len(jobs))
			for i, job := range jobs {
				batch[i] = store.NewJob{Kind: jobKind, Args: job}
			}
			_, err := s.EnqueueMany(ctx, batch)
			return err
		},
		sql: func(ctx context.Context, job jobArgs) error {
			_, err := db.Exec(ctx, enqueue, jobKind, job)
			return err
		},
	}, nil
}

// understudyFinished writes a day's history: six slices that are closed and
// within their retention.
func understudyFinished(ctx context.Context, db *pgxpool.Pool, rows int) error {
	return pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		for _, statement := range understudyHistory {
			if _, err := tx.Exec(ctx, statement, rows); err != nil {
				return err
			}
		}
		return nil
	})
}

var understudyHistory = []string{
	`UPDATE production.slices SET opened_at = now() - make_interval(hours => 3 * (8 - slice)), closed_at = now() - make_interval(hours => 3 * (7 - slice))
WHERE slice BETWEEN 1 AND 6 AND $1::int >= 0`,
	`INSERT INTO production.workers (id, pod, version, role, template_hash, state, started_at, lease_until, ended_at)
SELECT '00000000-0000-4000-8000-000000000001', 'mailer-6d4cf56db6-x7x2v', '1.0', 'active', '6d4cf56db6', 'ended', now() - interval '1 day', now() - interval '3 hours', now() - interval '3 hours'
WHERE $1::int >= 0`,
	`INSERT INTO production.finished_jobs (slice, id, queue, kind, args, state, priority, scheduled_at, attempt, max_attempts, losses, requeues,
    metadata, created_at, attempted_at, finalized_at, worker_id, worker_version, worker_role)
SELECT 1 + (n - 1) * 6 / $1, nextval('production.open_jobs_id_seq'), 'default', 'noop', jsonb_build_object('to', 'someone@example.org', 'n', n), 'completed', 1,
    at, 1, 25, 0, 0, '{}', at, at + interval '5 ms', at + interval '10 ms', '00000000-0000-4000-8000-000000000001', '1.0', 'active'
FROM (SELECT n::bigint, now() - interval '3 hours' - ($1 - n) * interval '18 hours' / $1 AS at FROM generate_series(1, $1::int) n) history`,
	`INSERT INTO production.finished_counts
SELECT slice, queue, kind, state, count(*) FROM production.finished_jobs WHERE $1::int >= 0 GROUP BY slice, queue, kind, state`,
}

const understudyScheduled = `WITH new AS (
    INSERT INTO production.open_jobs (queue, kind, args, waiting_state, priority, scheduled_at, max_attempts, metadata)
    SELECT 'default', 'noop', jsonb_build_object('to', 'someone@example.org', 'n', n), 'scheduled', 1, now() + interval '1 hour', 25, '{}'
    FROM generate_series(1, $1::int) n
    RETURNING id, scheduled_at
)
INSERT INTO production.later (run_at, job_id, queue, kind, state, priority, requeues)
SELECT scheduled_at, id, 'default', 'noop', 'scheduled', 1, 0 FROM new`

// understudyEngine runs a worker as its main program does, in a pod whose
// label is absent until it is to begin.
func understudyEngine(ctx context.Context, a assignment, t *tally, g *gate) error {
	e := &understudyWorker{volume: kubelet.New(filepath.Join(a.Dir, "pod")), log: newLogWatch()}
	if err := e.role(""); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return e.run(ctx, a, t) })
	group.Go(func() error { return e.follow(ctx, g) })
	return group.Wait()
}

// understudyWorker is one worker and its pod.
type understudyWorker struct {
	volume *kubelet.Volume
	log    *logWatch
	stint  atomic.Pointer[stint] // the last epoch that has begun
}

// stint is one epoch, on one target.
type stint struct {
	target  string
	started atomic.Int64  // the first handler's start, in nanoseconds since 1970
	begun   chan struct{} // closed then
	worked  atomic.Int64  // jobs that its handlers have finished
}

// role labels the pod.
func (e *understudyWorker) role(role string) error {
	labels := map[string]string{}
	if role != "" {
		labels["role"] = role
	}
	return e.volume.Write(map[string]string{"labels": kubelet.Labels(labels)})
}

// run is the program until ctx ends.
func (e *understudyWorker) run(ctx context.Context, a assignment, t *tally) error {
	args := []string{
		"run", "--podinfo.dir=" + e.volume.Dir(), "--http.addr=", "--log.format=json",
		fmt.Sprintf("--queues.default.concurrency=%d", a.Concurrency),
	}
	for _, target := range targets {
		args = append(args, fmt.Sprintf("--targets.%s.dsn=%s", target, a.DSN))
	}
	code := app.Run(ctx, app.Options{Handlers: e.handlers(t)}, app.IO{
		Args: args, In: strings.NewReader(""), Out: io.Discard, Err: e.log,
	})
	if code != 0 {
		return fmt.Errorf("the worker ended with exit code %d; its log ends:\n%s", code, e.log.tail())
	}
	return nil
}

// handlers are those of one epoch after another.
func (e *understudyWorker) handlers(t *tally) func(context.Context, supervisor.Env) (understudy.Handlers, error) {
	return func(_ context.Context, env supervisor.Env) (understudy.Handlers, error) {
		s := &stint{target: env.Target, begun: make(chan struct{})}
		e.stint.Store(s)
		return understudy.Handlers{jobKind: understudy.HandlerFunc(func(ctx context.Context, job *understudy.Job) error {
			if s.started.Load() == 0 && s.started.CompareAndSwap(0, time.Now().UnixNano()) {
				close(s.begun)
			}
			err := t.handle(ctx, job.Args)
			if err == nil {
				s.worked.Add(1)
			}
			return err
		})}, nil
	}
}

// follow gives the pod its roles.
func (e *understudyWorker) follow(ctx context.Context, g *gate) error {
	if _, err := e.log.next(ctx, "start"); err != nil {
		return err
	}
	if begin, err := g.open(ctx); !begin {
		return err
	}
	if err := e.role("active"); err != nil {
		return err
	}
	for {
		select {
		case role := <-g.roles:
			done, err := e.swap(ctx, role)
			if err != nil {
				return err
			}
			if err := g.swaps(done); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// swap gives the pod another role and waits for the first job there.
func (e *understudyWorker) swap(ctx context.Context, role string) (swap, error) {
	e.log.forget()
	old := e.stint.Load()
	if old == nil {
		return swap{}, errors.New("the worker has no role yet that it could change")
	}
	done := swap{Renamed: time.Now().UnixNano()}
	if err := e.role(role); err != nil {
		return done, err
	}
	drained, err := e.log.next(ctx, "drained")
	if err != nil {
		return done, err
	}
	if _, err := e.log.next(ctx, "serving"); err != nil {
		return done, err
	}
	s := e.stint.Load()
	if s.target != targets[role] {
		return done, fmt.Errorf("the worker took role %q for another target than %q", role, targets[role])
	}
	select {
	case <-s.begun:
	case <-ctx.Done():
		return done, context.Cause(ctx)
	}
	done.Drained, done.Started, done.Worked = drained.UnixNano(), s.started.Load(), old.worked.Load()
	return done, nil
}

// logWatch reads a worker's log as it is written.
type logWatch struct {
	kept  tail.Tail
	lines chan logLine
}

// logLine is what is read of a line.
type logLine struct {
	Time time.Time `json:"time"`
	Msg  string    `json:"msg"`
}

func newLogWatch() *logWatch { return &logWatch{lines: make(chan logLine, 1000)} }

// Write takes one line, as slog's handlers write it. What nobody waits for is
// dropped once too much of it has come.
func (w *logWatch) Write(p []byte) (int, error) {
	_, _ = w.kept.Write(p)
	var line logLine
	if json.Unmarshal(bytes.TrimSpace(p), &line) == nil {
		select {
		case w.lines <- line:
		default:
		}
	}
	return len(p), nil
}

func (w *logWatch) tail() string { return w.kept.String() }

// forget drops the lines so far.
func (w *logWatch) forget() {
	for {
		select {
		case <-w.lines:
		default:
			return
		}
	}
}

// logPatience is how long a line is waited for: as long as a worker may take
// to read its files without a hint, connect and drain.
const logPatience = time.Minute

// next waits for a line with that message and returns its time.
func (w *logWatch) next(ctx context.Context, message string) (time.Time, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, logPatience, errors.New("waited too long"))
	defer cancel()
	for {
		select {
		case line := <-w.lines:
			if line.Msg == message {
				return line.Time, nil
			}
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("wait for %q in the worker's log: %w; it ends:\n%s", message, context.Cause(ctx), w.tail())
		}
	}
}
