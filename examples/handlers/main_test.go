package main

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-worker/understudy/app"
	"github.com/understudy-worker/understudy/examples/handlers/migrations"
	"github.com/understudy-worker/understudy/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// patience bounds every wait of these tests.
const patience = 30 * time.Second

// theatre is a migrated database, whose schemas are called production and
// preview, and the program that works in it.
type theatre struct {
	t    *testing.T
	dsn  string
	pool *pgxpool.Pool
	log  output
}

func newTheatre(t *testing.T) *theatre {
	t.Helper()
	th := &theatre{t: t, dsn: pgtest.Database(t)}
	pool, err := pgxpool.New(t.Context(), th.dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	th.pool = pool
	if code := th.run(t.Context(), "migrate", "up", "--target", "production"); code != 0 {
		t.Fatalf("migrate up: exit code %d:\n%s", code, &th.log)
	}
	return th
}

// run runs the program, as main does, until it ends or ctx does.
func (th *theatre) run(ctx context.Context, args ...string) int {
	options := app.Options{Handlers: handlers, Migrations: migrations.Files}
	args = append(args, "--targets.production.dsn="+th.dsn, "--targets.preview.dsn="+th.dsn)
	return app.Run(ctx, options, app.IO{Args: args, Out: &th.log, Err: &th.log})
}

// start runs a worker in a role, and returns what stops it as SIGTERM does.
func (th *theatre) start(role string) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan int, 1)
	go func() {
		ended <- th.run(ctx, "run", "--role="+role, "--http.addr=", "--worker.poll_interval=50ms", "--queues.default.concurrency=4")
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		if code := <-ended; code != 0 {
			th.t.Errorf("run: exit code %d:\n%s", code, &th.log)
		}
	})
	th.t.Cleanup(stop)
	return stop
}

// order takes an order and enqueues its charge, in one transaction, which is
// committed or not.
func (th *theatre) order(schema string, cents int, commit bool) {
	th.t.Helper()
	ctx := th.t.Context()
	tx, err := th.pool.Begin(ctx)
	if err != nil {
		th.t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(ctx) }() // does nothing once it is committed
	_, err = tx.Exec(ctx, `
		WITH new AS (INSERT INTO `+pgx.Identifier{schema, "orders"}.Sanitize()+` (cents) VALUES ($1) RETURNING id)
		SELECT `+pgx.Identifier{schema, "enqueue"}.Sanitize()+`('charge', jsonb_build_object('order_id', id)) FROM new`, cents)
	if err == nil && commit {
		err = tx.Commit(ctx)
	}
	if err != nil {
		th.t.Fatal(err)
	}
}

// count asks for a number.
func (th *theatre) count(sql string) (n int) {
	th.t.Helper()
	if err := th.pool.QueryRow(th.t.Context(), sql).Scan(&n); err != nil {
		th.t.Fatalf("%s: %v", sql, err)
	}
	return n
}

func (th *theatre) until(what string, holds func() bool) {
	th.t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			th.t.Fatalf("waited in vain until %s; the program's log:\n%s", what, &th.log)
		}
	}
}

func (th *theatre) want(counts map[string]int) {
	th.t.Helper()
	for sql, want := range counts {
		if got := th.count(sql); got != want {
			th.t.Errorf("%s: %d, want %d", sql, got, want)
		}
	}
}

func TestEveryOrderIsChargedOnceThoughWorkersComeAndGo(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	const orders = 200
	for range orders {
		th.order("production", 100, true)
		th.order("production", 100, false)
	}
	charged := func(at int) func() bool {
		return func() bool { return th.count("SELECT count(*) FROM production.charges") >= at }
	}
	for _, at := range []int{orders / 4, orders / 2} {
		stop := th.start("active")
		th.until("some orders are charged", charged(at))
		stop()
	}
	th.start("active")
	th.until("every job is finished", func() bool { return th.count("SELECT count(*) FROM production.open_jobs") == 0 })
	th.want(map[string]int{
		"SELECT count(*) FROM production.orders":                  orders,
		"SELECT count(*) FROM production.charges":                 orders,
		"SELECT count(DISTINCT order_id) FROM production.charges": orders,
		"SELECT count(*) FROM production.jobs":                    orders,
		`SELECT count(*) FROM production.jobs WHERE state = 'completed' AND attempt = 1 AND result = '{"cents": 100}'`: orders,
	})
}

func TestAnOrderIsChargedOnceThoughItsJobIsRunAgainAndEnqueuedTwice(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	th.order("production", 100, true)
	th.start("active")
	completed := "SELECT count(*) FROM production.jobs WHERE state = 'completed'"
	th.until("the order is charged", func() bool { return th.count(completed) == 1 })
	if _, err := th.pool.Exec(t.Context(), "SELECT production.retry(id) FROM production.jobs"); err == nil {
		t.Error("a completed job was retried without a word")
	}
	for _, sql := range []string{
		"SELECT production.retry_completed(id) FROM production.jobs",
		"SELECT production.enqueue('charge', jsonb_build_object('order_id', id)) FROM production.orders",
	} {
		if _, err := th.pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	th.until("both jobs are completed", func() bool { return th.count(completed) == 2 })
	th.want(map[string]int{
		"SELECT count(*) FROM production.charges":                                           1,
		"SELECT count(*) FROM production.jobs WHERE attempt = 2 AND last_error IS NULL":     1,
		`SELECT count(*) FROM production.jobs WHERE result = '{"cents": 100}'`:              2,
		"SELECT count(*) FROM production.jobs, jsonb_array_elements(attempts) WHERE id = 1": 2,
	})
}

func TestAChargeIsNotKeptWithoutItsCompletion(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	// The completion of the first attempt fails, with its result and without, after the charge was written.
	for _, sql := range []string{
		`CREATE SEQUENCE production.completions`,
		`CREATE FUNCTION production.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
			BEGIN
				IF nextval('production.completions') <= 2 THEN RAISE EXCEPTION 'not now'; END IF;
				RETURN NEW;
			END $$`,
		`CREATE TRIGGER refuse BEFORE INSERT ON production.finished_jobs FOR EACH ROW EXECUTE FUNCTION production.refuse()`,
	} {
		if _, err := th.pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	th.order("production", 100, true)
	th.start("active")
	th.until("the job is finished", func() bool { return th.count("SELECT count(*) FROM production.finished_jobs") == 1 })
	th.want(map[string]int{
		"SELECT count(*) FROM production.charges":                                           1,
		"SELECT count(*) FROM production.jobs WHERE state = 'completed' AND attempt = 2":    1,
		"SELECT count(*) FROM production.jobs WHERE attempts->0->>'error' LIKE '%not now%'": 1,
	})
}

func TestAnOrderThatCostsNothingIsGivenUp(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	th.order("production", 0, true)
	th.start("active")
	th.until("the job is finished", func() bool { return th.count("SELECT count(*) FROM production.finished_jobs") == 1 })
	th.want(map[string]int{
		"SELECT count(*) FROM production.charges":                                                             0,
		"SELECT count(*) FROM production.jobs WHERE state = 'discarded' AND last_error LIKE '%costs nothing'": 1,
	})
}

func TestAPreviewHasTablesOfItsOwn(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	th.order("production", 100, true)
	th.start("preview")
	th.until("the preview schema is there", func() bool {
		return th.count("SELECT count(*) FROM pg_tables WHERE schemaname = 'preview' AND tablename = 'charges'") == 1
	})
	th.order("preview", 100, true)
	th.until("its job is finished", func() bool { return th.count("SELECT count(*) FROM preview.finished_jobs") == 1 })
	th.want(map[string]int{
		"SELECT count(*) FROM preview.charges":                           1,
		"SELECT count(*) FROM production.charges":                        0,
		"SELECT count(*) FROM production.jobs WHERE state = 'available'": 1,
	})
}

// output is a log that a test may read while it is written.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(data []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(data)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
