package docs_test

import (
	"context"
	"encoding/json"
	"regexp"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/store"
)

// actions are what a worker does between two statements.
var actions = []struct {
	pattern *regexp.Regexp
	do      func(w *walk, args []string)
}{
	{regexp.MustCompile(`^pod (\S+) opens as (\S+) with version (\S+)$`), (*walk).open},
	{regexp.MustCompile(`^it claims (\d+) (\S+) from (\S+)$`), (*walk).claim},
	{regexp.MustCompile(`^job (\d+) completes with (.*)$`), (*walk).complete},
	{regexp.MustCompile(`^job (\d+) fails with "(.*)"$`), (*walk).fail},
	{regexp.MustCompile(`^job (\d+) is cancelled$`), (*walk).cancel},
	{regexp.MustCompile(`^(shop_worker) works (\d+) (\S+) from (\S+)$`), (*walk).workAs},
}

func (w *walk) act(b block) {
	w.t.Helper()
	for _, action := range actions {
		if args := action.pattern.FindStringSubmatch(b.text); args != nil {
			action.do(w, args[1:])
			return
		}
	}
	w.t.Errorf("line %d: no action is called %q", b.line, b.text)
}

func (w *walk) open(args []string) {
	w.queue = w.newQueue(w.pool(""), store.QueueOptions{
		Pod: args[0], Place: understudy.Place{Role: args[1], Version: args[2]},
	})
}

// pool is a pool of the walk's database, as some login.
func (w *walk) pool(login string) *pgxpool.Pool {
	w.t.Helper()
	config, err := pgxpool.ParseConfig(w.dsn)
	if err != nil {
		w.t.Fatal(err)
	}
	if login != "" {
		config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, "SET SESSION AUTHORIZATION "+login)
			return err
		}
	}
	pool, err := pgxpool.NewWithConfig(w.t.Context(), config)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(pool.Close)
	return pool
}

// newQueue opens an epoch.
func (w *walk) newQueue(pool *pgxpool.Pool, options store.QueueOptions) *store.Queue {
	w.t.Helper()
	options.Place.Target, options.Place.Schema = schema, schema
	options.Lease, options.MaxLosses, options.Retention = time.Minute, 5, 24*time.Hour
	queue, err := store.NewQueue(pool, options)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(queue.Close)
	w.must(queue.Open(w.t.Context()))
	return queue
}

func (w *walk) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *walk) claim(args []string) {
	w.t.Helper()
	want, err := strconv.Atoi(args[0])
	w.must(err)
	jobs, _, err := w.queue.Claim(w.t.Context(), understudy.ClaimRequest{Kinds: args[1:2], Queue: args[2], Limit: want})
	w.must(err)
	if len(jobs) != want {
		w.t.Fatalf("claimed %d jobs of kind %s, want %d", len(jobs), args[1], want)
	}
	for _, job := range jobs {
		w.jobs[job.ID] = job
	}
}

// record records how a claimed job ended.
func (w *walk) record(id string, outcome understudy.Outcome) {
	w.t.Helper()
	n, err := strconv.ParseInt(id, 10, 64)
	w.must(err)
	if outcome.Job == nil {
		outcome.Job = w.job(n)
	}
	recorded, err := w.queue.Record(w.t.Context(), []understudy.Outcome{outcome})
	w.must(err)
	if len(recorded.Fenced)+len(recorded.Deferred)+len(recorded.Rejected) > 0 {
		w.t.Fatalf("the outcome of job %s was not recorded: %+v", id, recorded)
	}
}

func (w *walk) job(id int64) *understudy.Job {
	w.t.Helper()
	job := w.jobs[id]
	if job == nil {
		w.t.Fatalf("job %d is not claimed", id)
	}
	return job
}

func (w *walk) complete(args []string) {
	w.t.Helper()
	id, err := strconv.ParseInt(args[0], 10, 64)
	w.must(err)
	job := w.job(id)
	w.must(job.SetResult(json.RawMessage(args[1])))
	w.record(args[0], understudy.Outcome{Job: job, Verdict: understudy.Completed})
}

func (w *walk) fail(args []string) {
	w.t.Helper()
	w.record(args[0], understudy.Outcome{Verdict: understudy.Retried, Error: args[1], Delay: time.Hour})
}

func (w *walk) cancel(args []string) {
	w.t.Helper()
	w.record(args[0], understudy.Outcome{Verdict: understudy.Cancelled, Error: "the job was cancelled"})
}

// workAs has a login do all that a worker does.
func (w *walk) workAs(args []string) {
	w.t.Helper()
	login := w.logins.Replace(args[0])
	before := w.queue
	defer func() { w.queue = before }()
	pool := w.pool(login)
	w.queue = w.newQueue(pool, store.QueueOptions{Pod: "web-2", Place: understudy.Place{Role: "active", Version: "1.4.0"}})
	w.claim(args[1:])
	verdicts := []understudy.Verdict{understudy.Completed, understudy.Retried, understudy.Released}
	for id, job := range w.jobs {
		if job.Claim.Epoch == w.queue.Epoch() {
			w.record(strconv.FormatInt(id, 10), understudy.Outcome{Verdict: verdicts[int(id)%len(verdicts)]})
		}
	}
	for name, err := range w.upkeep(pool) {
		if err != nil {
			w.t.Errorf("%s as %s: %v", name, args[0], err)
		}
	}
}

// upkeep is what a worker does besides working jobs.
func (w *walk) upkeep(pool *pgxpool.Pool) map[string]error {
	ctx := w.t.Context()
	_, promoteErr := w.queue.Promote(ctx)
	_, rescueErr := w.queue.Rescue(ctx)
	_, reconcileErr := w.queue.Reconcile(ctx)
	status, inspectErr := store.Inspect(ctx, pool, schema, nil)
	if !status.Serves() {
		w.t.Errorf("the schema is %s for a worker", status)
	}
	return map[string]error{
		"promote": promoteErr, "rescue": rescueErr, "reconcile": reconcileErr, "inspect": inspectErr,
		"renew": w.queue.Renew(ctx, false), "prune": w.queue.Prune(ctx), "end": w.queue.End(ctx),
	}
}
