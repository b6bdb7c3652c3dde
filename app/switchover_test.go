package app_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/understudy-worker/understudy/internal/pgtest"
	"github.com/understudy-worker/understudy/store"
)

// enqueueUntil enqueues a job that goes on until its file is there.
func (th *theatre) enqueueUntil(kind, file string) {
	th.t.Helper()
	s, err := store.New(th.pool, th.production)
	if err != nil {
		th.t.Fatal(err)
	}
	if _, err := s.Enqueue(context.Background(), store.NewJob{Kind: kind, Args: map[string]string{"Until": file}}); err != nil {
		th.t.Fatal(err)
	}
}

func (th *theatre) do(err error) {
	th.t.Helper()
	if err != nil {
		th.t.Fatal(err)
	}
}

// The old primary is back, as a standby, before the name leads to the new one:
// what is connected in between would be alive and of no use.
func TestASwitchoverBehindOneNameStopsAndChargesNobody(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	a := pgtest.Server(t)
	b := pgtest.Replica(t, a)
	th := newTheatreOn(t, a)
	name := pgtest.NewName(t)
	th.dsn = name.Lead(t, a.DSN("postgres"))
	// Half the lease is far beyond this switchover: only what still runs then can be told to stop.
	p := th.start("a", "active", "--worker.lease=4m")
	p.serves(th.production, "active")
	over := filepath.Join(t.TempDir(), "over")
	th.enqueueUntil("wait", over)
	th.enqueueUntil("met", over)
	th.until("both run", "SELECT count(*) = 2 FROM {production}.jobs WHERE state = 'running'")
	th.until("the replica has all", "SELECT count(*) = 1 FROM pg_stat_replication WHERE replay_lsn = pg_current_wal_lsn()")

	th.do(a.Halt(false))
	th.do(b.Promote(ctx))
	th.do(a.Follow(ctx, b))
	p.until("a handler has met the standby", func() bool { return p.log.contains("a job failed on a standby") })
	name.Lead(t, b.DSN("postgres"))
	th.look(b.DSN("postgres"))
	th.enqueue(th.production, "note", 1, 0)
	th.until("work goes on while the jobs of before run", "SELECT count(*) = 1 FROM {production}.jobs WHERE kind = 'note' AND state = 'completed'")
	th.do(os.WriteFile(over, nil, 0o600))
	th.untilDone(th.production)
	if n := ask[int](th, "SELECT count(*) FROM {production}.jobs WHERE attempt <> 1 OR losses <> 0 OR state <> 'completed'"); n != 0 {
		t.Errorf("%d of 3 jobs were charged or lost", n)
	}
	if n := ask[int](th, "SELECT count(*) FROM {production}.finished_jobs WHERE kind = 'wait' AND requeues <> 0"); n != 0 {
		t.Error("a handler that had nothing to do with the server was told to stop")
	}
	if n := ask[int](th, "SELECT count(*) FROM {production}.workers"); n != 1 {
		t.Errorf("the worker had %d epochs, want the one", n)
	}
}

func TestAWorkerThatFindsAStandbyServesOnceItIsPromoted(t *testing.T) {
	t.Parallel()
	a := pgtest.Server(t)
	th := newTheatreOn(t, a)
	b := pgtest.Replica(t, a)
	th.dsn = b.DSN("postgres")
	p := th.start("a", "active")
	p.until("it says so", func() bool { return p.log.contains("the server is a standby, which only reads: wait until") })
	if n := ask[int](th, "SELECT count(*) FROM {production}.workers"); n != 0 {
		t.Error("it served a standby")
	}
	th.look(th.dsn)
	th.do(b.Promote(t.Context()))
	p.serves(th.production, "active")
	th.enqueue(th.production, "effect", 5, 0)
	th.untilDone(th.production)
}
