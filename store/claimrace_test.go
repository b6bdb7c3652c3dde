package store_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/store"
)

func request(kinds ...string) understudy.ClaimRequest {
	return understudy.ClaimRequest{Queue: "default", Kinds: kinds, Limit: 100}
}

// holdInserts makes whoever inserts into a table wait in the middle of his
// statement, until what it returns is called.
func (f *fixture) holdInserts(t testing.TB, table string) (release func()) {
	t.Helper()
	key := get[int64](t, f, "SELECT hashtextextended($1, 0)", f.schema)
	f.exec(t, `CREATE FUNCTION {schema}.wait_in_test() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN PERFORM pg_advisory_xact_lock_shared(hashtextextended(TG_TABLE_SCHEMA, 0)); RETURN NEW; END $$`)
	f.exec(t, "CREATE TRIGGER wait_in_test BEFORE INSERT ON {schema}."+table+" FOR EACH ROW EXECUTE FUNCTION {schema}.wait_in_test()")
	tx := f.begin(t)
	f.in(t, tx, "SELECT pg_advisory_xact_lock($1)", key)
	return func() { commit(t, tx) }
}

// asyncClaim is a claim in the background.
type asyncClaim struct {
	sync.WaitGroup
	jobs []*understudy.Job
	err  error
}

func claimAsync(t testing.TB, q *store.Queue, kinds ...string) *asyncClaim {
	c := &asyncClaim{}
	c.Go(func() { c.jobs, _, c.err = q.Claim(t.Context(), request(kinds...)) })
	return c
}

func TestAnEpochThatIsClaimingIsNotExpired(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q, other := f.epoch(t), f.epoch(t)
	ids := f.enqueue(t, store.NewJob{Kind: "a"}, store.NewJob{Kind: "a"})
	release := f.holdInserts(t, "claims")
	c := claimAsync(t, q, "a")
	eventually(t, "the claim waits with its rows locked", func() bool {
		return get[bool](t, f, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'advisory' AND query LIKE '-- name: claim%' || $1 || '%')", f.schema)
	})
	f.expireLease(t, q)
	rescue(t, other, 0)
	if state := get[string](t, f, "SELECT state FROM {schema}.workers WHERE id = $1", q.Epoch()); state != "serving" {
		t.Errorf("the epoch was marked %s while it claimed", state)
	}
	release()
	if c.Wait(); c.err != nil || len(c.jobs) != len(ids) {
		t.Fatalf("claimed %v, error %v", idsOf(c.jobs), c.err)
	}
	rescue(t, other, 2) // the claim is seen with all it took
	if done := record(t, q, understudy.Outcome{Job: c.jobs[0], Verdict: understudy.Completed}); len(done.Fenced) != 1 {
		t.Errorf("recorded after the rescue: %+v", done)
	}
	held(t, other, ids, "a")
}

func TestAClaimPassesOverWhatAnotherIsTakingAndSaysSo(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	shared := f.enqueue(t, store.NewJob{Kind: "a"}, store.NewJob{Kind: "a"})
	var alone []int64
	for range 2 {
		alone = append(alone, mustEnqueue(t, f, store.NewJob{Kind: "a"}))
	}
	tx := f.begin(t) // another claim, of one job
	f.in(t, tx, "SELECT FROM {schema}.ready WHERE $1 = ANY (job_ids) FOR UPDATE", shared[0])
	wantClaim(t, q, alone, true)
	wantClaim(t, q, nil, true)
	rollback(t, tx)
	wantClaim(t, q, shared, false)
	wantClaim(t, q, nil, false)
}

// wantClaim claims and checks what comes.
func wantClaim(t testing.TB, q *store.Queue, want []int64, wantMore bool) {
	t.Helper()
	jobs, more, err := q.Claim(t.Context(), request("a"))
	if err != nil {
		t.Fatal(err)
	}
	if got := idsOf(jobs); !slices.Equal(got, want) || more != wantMore {
		t.Errorf("claimed %v, more: %t; want %v, %t", got, more, want, wantMore)
	}
}

func TestAClaimThatMeetsAnExpiryGetsNothing(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	ids := f.enqueue(t, store.NewJob{Kind: "a"})
	// What expire does, in slow motion.
	tx := f.begin(t)
	f.in(t, tx, "SELECT FROM {schema}.workers WHERE id = $1 FOR UPDATE", q.Epoch())
	c := claimAsync(t, q, "a")
	eventually(t, "the claim waits for the worker's row", func() bool { return f.waits(t) })
	f.in(t, tx, "UPDATE {schema}.workers SET state = 'lost', ended_at = now() WHERE id = $1", q.Epoch())
	commit(t, tx)
	if c.Wait(); c.err != nil || len(c.jobs) != 0 {
		t.Errorf("claimed %v, error %v", idsOf(c.jobs), c.err)
	}
	held(t, f.epoch(t), ids, "a")
}

func TestAnEndWaitsForTheClaimThatIsUnderWay(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	ids := f.enqueue(t, store.NewJob{Kind: "a"})
	release := f.holdInserts(t, "claims")
	c := claimAsync(t, q, "a")
	eventually(t, "the claim waits with its rows locked", func() bool { return f.waits(t) })
	var end sync.WaitGroup
	var endErr error
	end.Go(func() { endErr = q.End(t.Context()) })
	eventually(t, "the end waits for the claim", func() bool {
		return get[bool](t, f, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '-- name: lock_epoch%' || $1 || '%')", f.schema)
	})
	release()
	c.Wait()
	if end.Wait(); endErr != nil || c.err != nil {
		t.Fatalf("end: %v, claim: %v", endErr, c.err)
	}
	if row := f.job(t, ids[0]); row.State != understudy.StateAvailable || row.Attempt != 0 {
		t.Errorf("the job is %+v", row)
	}
	if done := record(t, q, understudy.Outcome{Job: c.jobs[0], Verdict: understudy.Completed}); len(done.Fenced) != 1 {
		t.Errorf("recorded after the end: %+v", done)
	}
}

func TestAClaimThatIsBrokenOffTakesNothingAndLeavesNothingInDoubt(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	ids := f.enqueue(t, store.NewJob{Kind: "a"})
	release := f.holdInserts(t, "claims")
	ctx, cancel := context.WithCancel(t.Context())
	var claiming sync.WaitGroup
	var claimed []*understudy.Job
	var err error
	claiming.Go(func() { claimed, _, err = q.Claim(ctx, request("a")) })
	eventually(t, "the claim waits with its rows locked", func() bool { return f.waits(t) })
	cancel()
	claiming.Wait() // though what it waits for is still held
	var pgErr *pgconn.PgError
	if len(claimed) > 0 || !errors.As(err, &pgErr) || pgErr.Code != "57014" {
		t.Errorf("claimed %v, error %v: want none, and the server's word for it", idsOf(claimed), err)
	}
	release()
	if found, err := q.Reconcile(t.Context()); err != nil || found.Reclaimed != 0 {
		t.Errorf("found %+v, error %v", found, err)
	}
	held(t, q, ids, "a")
}

func TestClaimsAndExpiriesInAnyOrderLoseNothing(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	const jobs, workers = 600, 3
	f.enqueue(t, noops(jobs, 1)...)
	rescuer := f.epoch(t, many)
	progress := make(chan struct{}, workers) // an epoch may end whenever something was recorded
	var chaos, work sync.WaitGroup
	chaos.Go(func() {
		for range progress {
			if rand.N(4) > 0 {
				continue
			}
			_, err := f.pool.Exec(t.Context(), f.sql(`UPDATE {schema}.workers SET lease_until = now() - interval '1 s' WHERE id = (
				SELECT id FROM {schema}.workers WHERE state = 'serving' AND id <> $1 ORDER BY random() LIMIT 1)`), rescuer.Epoch())
			if _, rescueErr := rescuer.Rescue(t.Context()); err != nil || rescueErr != nil {
				t.Error(err, rescueErr)
			}
		}
	})
	for range workers {
		work.Go(func() {
			for q := f.epoch(t, many); !t.Failed(); {
				batch := claim(t, q, 10, "noop0")
				if done := record(t, q, completions(batch)...); len(done.Fenced) < len(batch) {
					progress <- struct{}{}
				}
				if len(batch) > 0 {
					continue
				}
				if get[int](t, f, "SELECT count(*) FROM {schema}.open_jobs") == 0 {
					return
				}
				if q.Renew(t.Context(), false) == understudy.ErrEpochOver {
					q.Close()
					q = f.epoch(t, many)
				}
			}
		})
	}
	work.Wait()
	close(progress)
	chaos.Wait()
	if n := get[int](t, f, "SELECT count(*) FROM {schema}.jobs WHERE state = 'completed'"); n != jobs {
		t.Errorf("%d jobs completed, want %d", n, jobs)
	}
	t.Logf("%d epochs were lost, with %d jobs", get[int](t, f, "SELECT count(*) FROM {schema}.workers WHERE state = 'lost'"), get[int](t, f, "SELECT sum(losses) FROM {schema}.jobs"))
}

// many losses are needed before a job is given up.
func many(o *store.QueueOptions) { o.MaxLosses = 1_000_000 }

func completions(jobs []*understudy.Job) []understudy.Outcome {
	var outcomes []understudy.Outcome
	for _, job := range jobs {
		outcomes = append(outcomes, understudy.Outcome{Job: job, Verdict: understudy.Completed})
	}
	return outcomes
}
