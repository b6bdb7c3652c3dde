package store_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/store"
)

func TestAClaimGoesByPriorityThenTimeThenEnqueueing(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	const n, block = 300, 32
	type place struct {
		block    int64 // ids that may share a row: among them, kinds come in any order
		priority int
		at       time.Time
	}
	for _, limit := range []int{1, 7, 100, n} {
		q := f.epoch(t) // one that has looked already may find jobs of the past a moment later
		jobs := make([]store.NewJob, n)
		for i := range jobs {
			jobs[i] = store.NewJob{
				Kind: fmt.Sprint("k", rand.N(5)), Priority: 1 + rand.N(4),
				ScheduledAt: time.Date(2020, 1, 1, 0, 0, rand.N(20), 0, time.UTC),
			}
		}
		var want []place
		for i, id := range f.enqueue(t, jobs...) {
			want = append(want, place{id / block, jobs[i].Priority, jobs[i].ScheduledAt})
		}
		slices.SortFunc(want, func(a, b place) int {
			return cmp.Or(cmp.Compare(a.priority, b.priority), a.at.Compare(b.at), cmp.Compare(a.block, b.block))
		})
		var got []place
		for len(got) < n {
			claimed := claim(t, q, limit, "k0", "k1", "k2", "k3", "k4")
			if len(claimed) == 0 || len(claimed) > limit {
				t.Fatalf("limit %d: claimed %d jobs", limit, len(claimed))
			}
			for _, job := range claimed {
				got = append(got, place{job.ID / block, job.Priority, job.ScheduledAt})
			}
			completed(t, q, claimed...)
		}
		if diff := gocmp.Diff(want, got, gocmp.AllowUnexported(place{})); diff != "" {
			t.Errorf("limit %d: order (-want +got):\n%s", limit, diff)
		}
	}
}

func TestAClaimedJobHasAllThatItsHandlerMayRead(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	at := time.Date(2021, 2, 3, 4, 5, 6, 7000, time.UTC)
	id := f.enqueue(t, store.NewJob{
		Kind: "a", Args: []int{1}, Priority: 3, ScheduledAt: at, MaxAttempts: 7, UniqueKey: "k", Metadata: map[string]int{"m": 2},
	})[0]
	before := get[time.Time](t, f, "SELECT clock_timestamp()")
	jobs := claim(t, q, 10, "a")
	want := []*understudy.Job{{
		ID: id, Queue: "default", Kind: "a", Args: json.RawMessage("[1]"), Priority: 3, ScheduledAt: at, Attempt: 1, MaxAttempts: 7,
		UniqueKey: "k", Metadata: json.RawMessage(`{"m": 2}`), Schema: f.schema, Claim: understudy.Claim{Epoch: q.Epoch(), Number: 1},
	}}
	times := cmpopts.IgnoreFields(understudy.Job{}, "CreatedAt", "AttemptedAt")
	if diff := gocmp.Diff(want, jobs, times, cmpopts.IgnoreUnexported(understudy.Job{})); diff != "" {
		t.Fatalf("job (-want +got):\n%s", diff)
	}
	if job := jobs[0]; job.AttemptedAt.Before(before) || job.CreatedAt.IsZero() || job.CreatedAt.After(before) {
		t.Errorf("created at %s, attempted at %s, claimed after %s", job.CreatedAt, job.AttemptedAt, before)
	}
	row := f.job(t, id)
	want2 := store.JobRow{
		ID: id, Queue: "default", Kind: "a", Args: json.RawMessage("[1]"), State: understudy.StateRunning, Priority: 3, ScheduledAt: at,
		Attempt: 1, MaxAttempts: 7, UniqueKey: "k", Metadata: json.RawMessage(`{"m": 2}`), CreatedAt: jobs[0].CreatedAt, AttemptedAt: &jobs[0].AttemptedAt,
		WorkerID: q.Epoch(), WorkerVersion: "1.0", WorkerRole: "active", Attempts: []store.Attempt{},
	}
	if diff := gocmp.Diff(want2, row); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
}

func TestAClaimLeavesWhatIsNotForIt(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	f.enqueue(t,
		store.NewJob{Kind: "unknown"},
		store.NewJob{Kind: "a", Queue: "other"},
		store.NewJob{Kind: "a", ScheduledAt: time.Now().Add(time.Hour)},
		store.NewJob{Kind: "aa"}, store.NewJob{Kind: "A"})
	mine := f.enqueue(t, store.NewJob{Kind: "a", Priority: 4})
	held(t, q, mine, "a", "b", "a")
	for name, request := range map[string]understudy.ClaimRequest{
		"no kinds": {Queue: "default", Limit: 10},
		"limit 0":  {Queue: "default", Kinds: []string{"aa"}},
		"no queue": {Kinds: []string{"aa"}, Limit: 10},
	} {
		if jobs, _, err := q.Claim(t.Context(), request); err != nil || len(jobs) != 0 {
			t.Errorf("%s: claimed %v, error %v", name, idsOf(jobs), err)
		}
	}
}

func TestClaimersNeverShareAJob(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	const jobs, claimers = 4000, 8
	f.enqueue(t, noops(jobs, 3)...)
	var mu sync.Mutex
	claimed := map[int64]int{}
	var work sync.WaitGroup
	for range claimers {
		q := f.epoch(t)
		work.Go(func() {
			for {
				batch := claim(t, q, 1+rand.N(100), "noop0", "noop1", "noop2")
				mu.Lock()
				for _, job := range batch {
					claimed[job.ID]++
				}
				done := len(claimed) == jobs
				mu.Unlock()
				if done || t.Failed() {
					return
				}
				completed(t, q, batch...)
			}
		})
	}
	work.Wait()
	for id, times := range claimed {
		if times != 1 {
			t.Errorf("job %d was claimed %d times", id, times)
		}
	}
}

func TestAnEpochThatDoesNotServeClaimsNothing(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	ids := f.enqueue(t, store.NewJob{Kind: "a"}, store.NewJob{Kind: "a"})
	for name, leave := range map[string]func(q *store.Queue) error{
		"its lease ran out": func(q *store.Queue) error { f.expireLease(t, q); return nil },
		"draining":          func(q *store.Queue) error { return q.Renew(t.Context(), true) },
		"ended":             func(q *store.Queue) error { return q.End(t.Context()) },
		"lost": func(q *store.Queue) error {
			f.expireLease(t, q)
			_, err := f.epoch(t).Rescue(t.Context())
			return err
		},
		"its row is gone": func(q *store.Queue) error {
			f.exec(t, "DELETE FROM {schema}.workers WHERE id = $1", q.Epoch())
			return nil
		},
	} {
		q := f.epoch(t)
		if err := leave(q); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if jobs := claim(t, q, 10, "a"); len(jobs) != 0 {
			t.Errorf("%s: claimed %v", name, idsOf(jobs))
		}
	}
	held(t, f.epoch(t), ids, "a")
}

func TestARenewalIsRefusedOnceTheLeaseIsOver(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	if err := q.Renew(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	left := get[float64](t, f, "SELECT extract(epoch FROM lease_until - now())::float8 FROM {schema}.workers")
	if left < 50 || left > 60 {
		t.Errorf("the lease runs %.0f s more, want 60", left)
	}
	f.expireLease(t, q)
	for range 2 {
		if err := q.Renew(t.Context(), false); err != understudy.ErrEpochOver {
			t.Errorf("renewed a lease that ran out: error %v", err)
		}
		rescue(t, q, 0)
	}
	if state := get[string](t, f, "SELECT state FROM {schema}.workers"); state != "lost" {
		t.Errorf("the epoch is %s, want lost", state)
	}
	if err := q.End(t.Context()); err != nil {
		t.Errorf("end an epoch that is lost: %v", err)
	}
}
