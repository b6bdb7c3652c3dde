package store_test

import (
	"bytes"
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-worker/understudy/internal/pgtest"
	"github.com/understudy-worker/understudy/store"
)

// enqueues are the ways to enqueue in a transaction of the store's own.
var enqueues = map[string]func(ctx context.Context, s *store.Store, job store.NewJob) (int64, error){
	"Enqueue": func(ctx context.Context, s *store.Store, job store.NewJob) (int64, error) { return s.Enqueue(ctx, job) },
	"EnqueueMany": func(ctx context.Context, s *store.Store, job store.NewJob) (int64, error) {
		ids, err := s.EnqueueMany(ctx, []store.NewJob{job})
		if err != nil {
			return 0, err
		}
		return ids[0], nil
	},
}

// wantWakes checks how many wakes there were since the last time.
func (e *ear) wantWakes(t testing.TB, f *fixture, want int, what string) {
	t.Helper()
	f.exec(t, "NOTIFY "+pgx.Identifier{e.schema}.Sanitize()) // a mark: what was notified before it has been heard by then
	e.until(t, e.schema)
	if e.wakes != want {
		t.Errorf("%s: %d wakes, want %d", what, e.wakes, want)
	}
	e.wakes = 0
}

func TestWhoIsWokenByAnEnqueueSeesItsJob(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	e := f.listen(t)
	for name, enqueue := range enqueues {
		for want := range 20 {
			var call sync.WaitGroup
			call.Go(func() {
				if _, err := enqueue(t.Context(), f.Store, store.NewJob{Kind: name}); err != nil {
					t.Error(err)
				}
			})
			e.until(t, get[string](t, f, "SELECT {schema}.wake_channel()"))
			var jobs int
			if err := e.conn.QueryRow(t.Context(), f.sql("SELECT count(*) FROM {schema}.ready WHERE kind = $1"), name).Scan(&jobs); err != nil {
				t.Fatal(err)
			}
			if jobs != want+1 {
				t.Fatalf("%s woke a worker that sees %d jobs, want %d", name, jobs, want+1)
			}
			call.Wait()
		}
	}
}

func TestAnEnqueueWakesWorkersOnceWhateverItsSize(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	e := f.listen(t)
	mustEnqueue(t, f, store.NewJob{Kind: "a"})
	e.wantWakes(t, f, 1, "one job")
	mustEnqueue(t, f, store.NewJob{Kind: "a", ScheduledAt: time.Now().Add(24 * time.Hour)})
	e.wantWakes(t, f, 0, "one job, not due")
	f.enqueue(t, noops(10_001, 1)...)
	e.wantWakes(t, f, 1, "several statements")
	f.enqueue(t)
	e.wantWakes(t, f, 0, "no jobs")
	for name, enqueue := range enqueues {
		_, err := enqueue(t.Context(), f.Store, refusedInSQL)
		wantError(t, err, "args has 1300")
		e.wantWakes(t, f, 0, name+" of a job that is refused")
	}
}

// refusedInSQL is longer in Postgres's text, with its spaces, than in Go's,
// and too long.
var refusedInSQL = store.NewJob{Kind: "a", Args: strings.Split(strings.Repeat("x,", 260_000), ",")}

func TestATransactionWakesWorkersAtItsCommit(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	e := f.listen(t)
	tx := f.begin(t)
	if _, err := f.EnqueueTx(t.Context(), tx, store.NewJob{Kind: "a"}); err != nil {
		t.Fatal(err)
	}
	e.wantWakes(t, f, 0, "EnqueueTx before the commit")
	if _, err := f.EnqueueManyTx(t.Context(), tx, []store.NewJob{{Kind: "a"}, {Kind: "a"}}); err != nil {
		t.Fatal(err)
	}
	f.in(t, tx, "SELECT {schema}.enqueue('a')")
	e.wantWakes(t, f, 0, "all of them before the commit")
	commit(t, tx)
	e.wantWakes(t, f, 1, "the commit")
}

func TestEnqueueManyInSQLWakesWorkersOfWhatIsDue(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	e := f.listen(t)
	for arguments, want := range map[string]int{
		"'{a,a}'":                                             1,
		"'{a,a}', wake => false":                              0,
		"'{a,a}', scheduled_ats => '{}'":                      1,
		"'{a,a}', scheduled_ats => '{2999-01-01}'":            1,
		"'{a,a}', scheduled_ats => '{2999-01-01,NULL}'":       1,
		"'{a,a}', scheduled_ats => '{2999-01-01,2000-01-01}'": 1,
		"'{a,a}', scheduled_ats => '{2999-01-01,2999-01-01}'": 0,
		"'{}'": 0,
	} {
		f.exec(t, "SELECT {schema}.enqueue_many("+arguments+")")
		e.wantWakes(t, f, want, arguments)
	}
}

func TestEnqueueWakesWorkersInEveryModeOfItsPool(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	e := f.listen(t)
	for _, mode := range []pgx.QueryExecMode{
		pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
	} {
		config := f.pool.Config()
		config.ConnConfig.DefaultQueryExecMode = mode
		g := f.withPool(t, config)
		for name, enqueue := range enqueues {
			for at, want := range map[time.Time]int{{}: 1, time.Now().Add(time.Hour): 0} {
				id, err := enqueue(t.Context(), g.Store, store.NewJob{Kind: "a", UniqueKey: mode.String(), ScheduledAt: at})
				if err != nil || f.job(t, id).UniqueKey != mode.String() {
					t.Errorf("%s, mode %q: job %d, error %v", name, mode, id, err)
				}
				e.wantWakes(t, f, want, name+", mode "+mode.String())
			}
		}
	}
}

func TestNoSearchPathDecidesWhoIsWoken(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	g := f.trapped(t)
	e := f.listen(t)
	for name, enqueue := range enqueues {
		if _, err := enqueue(t.Context(), g.Store, store.NewJob{Kind: "a"}); err != nil {
			t.Error(err)
		}
		e.wantWakes(t, f, 1, name)
	}
}

// mute is a migrated schema as a producer's login sees it that must not notify,
// over one connection.
func mute(t *testing.T) (f, producer *fixture) {
	t.Helper()
	name, password := login(t, migrated(t)) // is dropped after the database, where it has grants
	f = onServer(t, pgtest.Database(t))
	f.exec(t, "REVOKE EXECUTE ON FUNCTION pg_notify FROM PUBLIC")
	f.exec(t, "GRANT USAGE ON SCHEMA {schema} TO "+name)
	f.exec(t, "GRANT EXECUTE ON FUNCTION {schema}.enqueue_many TO "+name)
	config := loginConfig(f.pool, name, password)
	config.MaxConns = 1
	return f, f.withPool(t, config)
}

func TestAnEnqueueThatCannotWakeWorkersIsEnqueued(t *testing.T) {
	t.Parallel()
	f, producer := mute(t)
	_, err := producer.pool.Exec(t.Context(), "SELECT pg_notify('a', '')")
	wantError(t, err, "permission denied")
	for name, enqueue := range enqueues {
		id, err := enqueue(t.Context(), producer.Store, store.NewJob{Kind: name})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if row := f.job(t, id); row.Kind != name || row.State != "available" {
			t.Errorf("%s: job %+v", name, row)
		}
	}
}

func TestAFailedEnqueueGivesItsConnectionBack(t *testing.T) {
	t.Parallel()
	_, producer := mute(t)
	for range 3 {
		mustEnqueue(t, producer, store.NewJob{Kind: "a"}) // fails to wake
		_, err := producer.Enqueue(t.Context(), refusedInSQL)
		wantError(t, err, "enqueue: args has 1300")
	}
	if stat := producer.pool.Stat(); stat.NewConnsCount() != 1 || stat.AcquiredConns() != 0 {
		t.Errorf("%d connections were made, %d are in use; want 1 and 0", stat.NewConnsCount(), stat.AcquiredConns())
	}
}

// tap is a connection that shows what it reads.
type tap struct {
	net.Conn
	read func(b []byte)
}

func (c *tap) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.read(b[:n])
	return n, err
}

func TestAnEnqueueWhoseContextEndsAfterItsCommitIsEnqueued(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	for name, enqueue := range enqueues {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		config := f.pool.Config()
		dial := config.ConnConfig.DialFunc
		config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dial(ctx, network, address)
			return &tap{Conn: conn, read: func(b []byte) {
				if bytes.Contains(b, []byte("COMMIT\x00")) { // how the server says that it is done
					cancel()
				}
			}}, err
		}
		id, err := enqueue(ctx, f.withPool(t, config).Store, store.NewJob{Kind: name})
		if err != nil || ctx.Err() == nil {
			t.Errorf("%s: error %v, its context %v", name, err, ctx.Err())
			continue
		}
		if row := f.job(t, id); row.Kind != name {
			t.Errorf("%s: job %+v", name, row)
		}
	}
}
