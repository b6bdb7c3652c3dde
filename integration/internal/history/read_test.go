package history

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/internal/pgtest"
	"github.com/understudy-worker/understudy/store"
)

// migrated is a pool, and a migrated schema of the test's own.
func migrated(t *testing.T) (*pgxpool.Pool, string) {
	t.Helper()
	pool, schema := pgtest.Pool(t), pgtest.Schema(t)
	if err := store.Migrate(t.Context(), pool.Config().ConnConfig, store.MigrateOptions{Schema: schema}); err != nil {
		t.Fatal(err)
	}
	return pool, schema
}

// queue is an epoch of pod a on the schema.
func queue(t *testing.T, pool *pgxpool.Pool, schema string) *store.Queue {
	t.Helper()
	q, err := store.NewQueue(pool, store.QueueOptions{
		Pod: "a", Lease: time.Minute, MaxLosses: 5, Retention: time.Hour,
		Place: understudy.Place{Role: "active", Target: "production", Schema: schema, Version: "1.0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(q.Close)
	if err := q.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return q
}

func execute(t *testing.T, pool *pgxpool.Pool, sql string, args ...any) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func quoted(schema, name string) string { return pgx.Identifier{schema, name}.Sanitize() }

// witness is what a test knows of a schema that it works itself.
type witness struct {
	t      *testing.T
	pool   *pgxpool.Pool
	schema string
	queue  *store.Queue
	ledger *Ledger
	record Record
	path   string
}

func newWitness(t *testing.T) *witness {
	t.Helper()
	w := &witness{t: t}
	w.pool, w.schema = migrated(t)
	place := Place{Name: "production@A", Schema: w.schema, Roles: map[string]bool{"active": true}}
	var err error
	if place.Offset, place.Uncertainty, err = MeasureClock(t.Context(), w.pool); err != nil {
		t.Fatal(err)
	}
	w.record = Record{
		Places: []Place{place}, EffectKinds: map[string]bool{"effect": true},
		Stints:    []Stint{{Pod: "a", Role: "active", From: time.Now()}},
		Processes: []Process{{Pod: "a", N: 2, Started: time.Now()}},
	}
	w.ledger, w.path = opened(t)
	w.queue = queue(t, w.pool, w.schema)
	execute(t, w.pool, "CREATE TABLE "+quoted(w.schema, "effects")+" (job_id bigint NOT NULL, pod text NOT NULL)")
	return w
}

// enqueue enqueues jobs of a kind.
func (w *witness) enqueue(kind string, count int) {
	w.t.Helper()
	s, err := store.New(w.pool, w.schema)
	if err != nil {
		w.t.Fatal(err)
	}
	jobs := make([]store.NewJob, count)
	for i := range jobs {
		jobs[i].Kind = kind
	}
	ids, err := s.EnqueueMany(w.t.Context(), jobs)
	if err != nil {
		w.t.Fatal(err)
	}
	w.record.Places[0].Enqueued = append(w.record.Places[0].Enqueued, ids...)
}

// work claims what is due of a kind and works it.
func (w *witness) work(kind string, count int, handle func(context.Context, *understudy.Job) understudy.Outcome) {
	w.t.Helper()
	jobs, _, err := w.queue.Claim(w.t.Context(), understudy.ClaimRequest{Queue: "default", Kinds: []string{kind}, Limit: count + 1})
	if err != nil || len(jobs) != count {
		w.t.Fatalf("claimed %d jobs of kind %s, want %d: %v", len(jobs), kind, count, err)
	}
	var outcomes []understudy.Outcome
	for _, job := range jobs {
		run, err := w.ledger.Begin(job, "production", "production@A")
		if err != nil {
			w.t.Fatal(err)
		}
		o := handle(w.t.Context(), job)
		if o.Error != "" {
			err = errors.New(o.Error)
		}
		if err := run.Return(w.t.Context(), err); err != nil {
			w.t.Fatal(err)
		}
		outcomes = append(outcomes, o)
	}
	if done, err := w.queue.Record(w.t.Context(), outcomes); err != nil || len(done.Rejected) > 0 {
		w.t.Fatalf("record: %v, %v", done, err)
	}
}

// verdict ends the epoch, reads everything and judges it.
func (w *witness) verdict() *Verdict {
	w.t.Helper()
	if err := w.queue.End(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	if err := w.record.Places[0].Read(w.t.Context(), w.pool); err != nil {
		w.t.Fatal(err)
	}
	w.record.Runs = runsOf(w.t, w.path)
	return w.record.Check()
}

// completeWithEffect is a handler that makes its effect with its completion.
func (w *witness) completeWithEffect(ctx context.Context, job *understudy.Job) understudy.Outcome {
	err := pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "INSERT INTO "+quoted(w.schema, "effects")+" VALUES ($1, 'a')", job.ID); err != nil {
			return err
		}
		return store.CompleteTx(ctx, tx, job)
	})
	if err != nil {
		w.t.Error(err)
	}
	return understudy.Outcome{Job: job, Verdict: understudy.Completed}
}

func complete(_ context.Context, job *understudy.Job) understudy.Outcome {
	return understudy.Outcome{Job: job, Verdict: understudy.Completed}
}

func fail(_ context.Context, job *understudy.Job) understudy.Outcome {
	return understudy.Outcome{Job: job, Verdict: understudy.Retried, Error: "failed"}
}

func TestWhatADatabaseAndALedgerSayAgrees(t *testing.T) {
	t.Parallel()
	w := newWitness(t)
	w.enqueue("note", 250)
	w.enqueue("flaky", 3)
	w.enqueue("effect", 2)
	w.work("note", 250, complete)
	w.work("flaky", 3, fail)
	w.work("flaky", 3, complete)
	w.work("effect", 2, w.completeWithEffect)
	want := &Verdict{Jobs: map[understudy.State]int{understudy.StateCompleted: 255}, Runs: 258}
	if diff := cmp.Diff(want, w.verdict()); diff != "" {
		t.Errorf("verdict (-want +got):\n%s", diff)
	}
}

func TestWhatADatabaseLostIsSeen(t *testing.T) {
	t.Parallel()
	w := newWitness(t)
	w.enqueue("note", 5)
	w.work("note", 5, complete)
	execute(t, w.pool, "DELETE FROM "+quoted(w.schema, "finished_jobs")+" WHERE id = $1", w.record.Places[0].Enqueued[2])
	execute(t, w.pool, "INSERT INTO "+quoted(w.schema, "finished_jobs")+" SELECT * FROM "+quoted(w.schema, "finished_jobs")+" WHERE id = $1",
		w.record.Places[0].Enqueued[3])
	w.enqueue("effect", 1)
	w.work("effect", 1, w.completeWithEffect)
	execute(t, w.pool, "INSERT INTO "+quoted(w.schema, "effects")+" SELECT * FROM "+quoted(w.schema, "effects"))
	got := w.verdict().Violations
	want := []string{
		"the run of job 3 of production@A in process 2 of pod a, from " + clock(w.record.Runs[2].StartedAt) + " is of a job that is not there",
		"job 3 of production@A is gone",
		"job 4 of production@A is there more than once",
		"job 6 of production@A had its effect 2 times",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("violations (-want +got):\n%s", diff)
	}
}

func TestASchemaWithoutEffectsHasNone(t *testing.T) {
	t.Parallel()
	pool, schema := migrated(t)
	p := Place{Name: "production@A", Schema: schema}
	if err := p.Read(t.Context(), pool); err != nil || len(p.Effects) > 0 {
		t.Errorf("effects %v, error %v", p.Effects, err)
	}
}

func TestASchemaThatIsNotThereIsAnErrorThatNamesIt(t *testing.T) {
	t.Parallel()
	p := Place{Name: "production@A", Schema: "nowhere"}
	const want = `read place production@A: list jobs in schema "nowhere": migrate the schema first: understudy migrate up: ERROR: relation "nowhere.jobs" does not exist (SQLSTATE 42P01)`
	if err := p.Read(t.Context(), pgtest.Pool(t)); err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}
