package store_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-worker/understudy/internal/pgtest"
	"github.com/understudy-worker/understudy/store"
)

func TestAnOpenTransactionOfADeadWorkerDelaysItsOwnJobOnly(t *testing.T) {
	t.Parallel()
	f := effects(t)
	dead, other := f.epoch(t), f.epoch(t)
	ids := f.enqueue(t, store.NewJob{Kind: "a"}, store.NewJob{Kind: "a"})
	jobs := held(t, dead, ids, "a")
	// The worker is frozen, with a transaction open that completes its job.
	config := f.pool.Config().ConnConfig
	config.RuntimeParams["idle_in_transaction_session_timeout"] = "700ms"
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f.in(t, tx, "INSERT INTO {schema}.effects VALUES ($1)", ids[0])
	if err := store.CompleteTx(t.Context(), tx, jobs[0]); err != nil {
		t.Fatal(err)
	}
	f.expireLease(t, dead)
	rescue(t, other, 1) // without waiting for the other
	if state := f.state(t, ids[0]); state != "running" {
		t.Errorf("the job in the transaction is %s", state)
	}
	eventually(t, "the server ends the session and the job is rescued", func() bool {
		n, err := other.Rescue(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return n == 1
	})
	if tx.Commit(t.Context()) == nil {
		t.Error("the dead worker's transaction committed")
	}
	if n := get[int](t, f, "SELECT count(*) FROM {schema}.effects"); n != 0 {
		t.Errorf("%d effects of the dead worker's transaction", n)
	}
	held(t, other, ids, "a")
}

func TestADeadWorkersTransactionThatCommitsCounts(t *testing.T) {
	t.Parallel()
	f := effects(t)
	dead, other := f.epoch(t), f.epoch(t)
	ids := f.enqueue(t, store.NewJob{Kind: "a"})
	job := held(t, dead, ids, "a")[0]
	tx := f.begin(t)
	f.in(t, tx, "INSERT INTO {schema}.effects VALUES ($1)", ids[0])
	if err := store.CompleteTx(t.Context(), tx, job); err != nil {
		t.Fatal(err)
	}
	f.expireLease(t, dead)
	rescue(t, other, 0)
	commit(t, tx)
	rescue(t, other, 0)
	if row := f.job(t, ids[0]); row.State != "completed" || row.Losses != 0 {
		t.Errorf("the job is %+v", row)
	}
	if n := get[int](t, f, "SELECT count(*) FROM {schema}.claims"); n != 0 {
		t.Errorf("%d claims are left", n)
	}
}

func TestAWorkerOutlivesACrashOfTheServer(t *testing.T) {
	t.Parallel()
	server := pgtest.Server(t)
	f := onServer(t, server.DSN("postgres"))
	q := f.epoch(t)
	const jobs = 300
	f.enqueue(t, noops(jobs, 1)...)
	claimed := claim(t, q, 100, "noop0")
	completed(t, q, claimed[:50]...)
	if err := server.Restart(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	f.pool.Reset()
	f.check(t)
	if n := get[int](t, f, "SELECT count(*) FROM {schema}.jobs WHERE state = 'completed'"); n != 50 {
		t.Errorf("%d jobs are completed after the crash, 50 were recorded", n)
	}
	// The claim may be lost with the crash; what it held is worked all the same.
	seen := map[int64]bool{}
	eventually(t, "all jobs are completed", func() bool {
		done, err := q.Record(t.Context(), completions(claimed))
		if err != nil {
			return false // a connection from before the crash
		}
		for _, o := range done.Fenced {
			seen[o.Job.ID] = true
		}
		claimed, _, err = q.Claim(t.Context(), request("noop0"))
		return err == nil && len(claimed) == 0 && get[int](t, f, "SELECT count(*) FROM {schema}.open_jobs") == 0
	})
	if n := get[int](t, f, "SELECT count(*) FROM {schema}.jobs WHERE state = 'completed'"); n != jobs {
		t.Errorf("%d jobs are completed, want %d; %d were fenced on the way", n, jobs, len(seen))
	}
}
