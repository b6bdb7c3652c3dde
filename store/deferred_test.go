package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/store"
)

func TestAJobThatSomebodyHasLockedIsDeferredAndTheRestRecorded(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	const n = 2000
	f.enqueue(t, noops(n, 1)...)
	jobs := claim(t, q, n, "noop0")
	batch := completions(jobs)
	for i := range batch {
		if i%3 == 0 {
			batch[i].Verdict, batch[i].Error = understudy.Retried, "no"
		}
	}
	tx := f.begin(t)
	f.in(t, tx, "SELECT FROM {schema}.open_jobs WHERE id IN ($1, $2) FOR UPDATE", jobs[300].ID, jobs[1000].ID)
	begun := time.Now()
	done := record(t, q, batch...)
	if took := time.Since(begun); took > time.Minute {
		t.Errorf("recording took %s, with two of %d rows locked", took, n)
	}
	want := []understudy.Outcome{batch[300], batch[1000]}
	if diff := cmp.Diff(want, done.Deferred, cmp.Comparer(func(a, b *understudy.Job) bool { return a == b })); diff != "" || len(done.Fenced)+len(done.Rejected) != 0 {
		t.Fatalf("deferred (-want +got):\n%s", diff)
	}
	if n := get[int](t, f, "SELECT count(*) FROM {schema}.jobs WHERE state = 'running'"); n != 2 {
		t.Errorf("%d jobs are running, want 2", n)
	}
	f.check(t)
	if found, err := q.Reconcile(t.Context()); err != nil || found.Reclaimed != 0 {
		t.Errorf("reconciled %+v, error %v", found, err)
	}
	rollback(t, tx)
	if done := record(t, q, done.Deferred...); !cmp.Equal(done, understudy.Recorded{}) {
		t.Errorf("sent again: %+v", done)
	}
	if n := get[int](t, f, "SELECT count(*) FROM {schema}.claims"); n != 0 {
		t.Errorf("%d claims are left", n)
	}
}

func TestATableThatSomebodyHasLockedDefersAll(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	f.enqueue(t, noops(20, 1)...)
	jobs := claim(t, q, 20, "noop0")
	tx := f.begin(t)
	f.in(t, tx, "LOCK TABLE {schema}.finished_jobs IN ACCESS EXCLUSIVE MODE")
	if done := record(t, q, completions(jobs)...); len(done.Deferred) != 20 {
		t.Fatalf("recorded %+v, want all deferred", done)
	}
	rollback(t, tx)
	completed(t, q, jobs...)
}

func TestAJobOfALostClaimThatSomebodyHasLockedIsReleasedLater(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	g, w := f.wired(t)
	q := g.epoch(t)
	ids := g.enqueue(t, store.NewJob{Kind: "b"}, store.NewJob{Kind: "a"}, store.NewJob{Kind: "a"})
	held(t, q, ids[:1], "b")
	w.onReply(func() error { return errReplyLost })
	if _, _, err := q.Claim(t.Context(), request("a")); err == nil {
		t.Fatal("the reply was not lost")
	}
	w.restore()
	eventually(t, "the server has committed the claim", func() bool { return f.state(t, ids[1]) == "running" })
	tx := f.begin(t)
	f.in(t, tx, "SELECT FROM {schema}.open_jobs WHERE id = $1 FOR UPDATE", ids[1])
	for _, want := range []int{1, 0} {
		if found, err := q.Reconcile(t.Context()); err != nil || found.Reclaimed != want {
			t.Fatalf("reconciled %+v, error %v; want %d", found, err, want)
		}
		f.check(t)
	}
	rollback(t, tx)
	if found, err := q.Reconcile(t.Context()); err != nil || found.Reclaimed != 1 {
		t.Fatalf("reconciled %+v, error %v", found, err)
	}
	held(t, q, []int64{ids[1], ids[2]}, "a")
}

func TestAnEndIsNotHeldUpByAnOpenTransaction(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q, other := f.epoch(t), f.epoch(t)
	ids := f.enqueue(t, store.NewJob{Kind: "a"}, store.NewJob{Kind: "a"}, store.NewJob{Kind: "a"})
	jobs := held(t, q, ids, "a")
	tx := f.begin(t) // a handler that does not return
	if err := store.CompleteTx(t.Context(), tx, jobs[0]); err != nil {
		t.Fatal(err)
	}
	forgotten := f.begin(t)
	f.in(t, forgotten, "SELECT FROM {schema}.open_jobs WHERE id = $1 FOR UPDATE", ids[1])
	if err := q.End(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.check(t)
	if state := f.state(t, ids[2]); state != understudy.StateAvailable {
		t.Errorf("the job that nobody holds is %s", state)
	}
	commit(t, tx)
	if state := f.state(t, ids[0]); state != understudy.StateCompleted {
		t.Errorf("the job whose transaction committed is %s", state)
	}
	rescue(t, other, 0)
	rollback(t, forgotten)
	rescue(t, other, 1)
	held(t, other, ids[1:], "a")
	if n := get[int](t, f, "SELECT count(*) FROM {schema}.claims WHERE worker_id = $1", q.Epoch()); n != 0 {
		t.Errorf("%d claims of the ended epoch are left", n)
	}
}
