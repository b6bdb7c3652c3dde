package store_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/store"
)

func TestCountsStayFewHoweverManyBatchesAreRecorded(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	f.finishedAgo(t, q, "0", 1)
	// As many more finished, and were retried and cancelled.
	f.exec(t, "INSERT INTO {schema}.finished_counts SELECT 0, 'default', 'noop0', s, n FROM generate_series(1, 300) i, unnest('{completed,discarded}'::text[]) s, unnest('{1,-1}'::int[]) n")
	if err := q.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := get[int](t, f, "SELECT count(*) FROM {schema}.finished_counts"); n != 2 { // completed, discarded
		t.Errorf("%d rows of counts, want 2", n)
	}
}

func TestCountsTellQueuesKindsAndStatesApart(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	due := f.enqueue(t,
		store.NewJob{Kind: "a"}, store.NewJob{Kind: "a"}, store.NewJob{Kind: "a", Queue: "other"},
		store.NewJob{Kind: "b", ScheduledAt: time.Now().Add(time.Hour)}, store.NewJob{Kind: "b", ScheduledAt: time.Now().Add(time.Hour)})
	f.makeDue(t, due[4])
	f.worked(t, q, store.NewJob{Kind: "c"}, understudy.Outcome{Verdict: understudy.Completed})
	f.worked(t, q, store.NewJob{Kind: "c"}, understudy.Outcome{Verdict: understudy.Retried, Error: "no", Delay: time.Hour})
	again := f.worked(t, q, store.NewJob{Kind: "d"}, understudy.Outcome{Verdict: understudy.Discarded, Error: "no"})
	if _, err := f.Retry(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	held(t, q, []int64{again}, "d")
	counts, err := f.Counts(t.Context())
	want := []store.Count{
		{Queue: "default", Kind: "a", State: "available", Count: 2, Due: 2},
		{Queue: "default", Kind: "b", State: "available", Count: 1, Due: 1},
		{Queue: "default", Kind: "b", State: "scheduled", Count: 1},
		{Queue: "default", Kind: "c", State: "completed", Count: 1},
		{Queue: "default", Kind: "c", State: "retryable", Count: 1},
		{Queue: "default", Kind: "d", State: "running", Count: 1},
		{Queue: "other", Kind: "a", State: "available", Count: 1, Due: 1},
	}
	if diff := cmp.Diff(want, counts); diff != "" || err != nil {
		t.Errorf("counts (-want +got):\n%s, error %v", diff, err)
	}
	tally, err := f.Tally(t.Context(), 4)
	all := store.Tally{Jobs: map[understudy.State]int64{"available": 4, "scheduled": 1, "completed": 1, "retryable": 1, "running": 1}}
	if diff := cmp.Diff(all, tally); diff != "" || err != nil {
		t.Errorf("the tally (-want +got):\n%s, error %v", diff, err)
	}
	waits, err := f.Due(t.Context(), []string{"default", "other"})
	if err != nil || len(waits) != 2 {
		t.Fatalf("due are %+v, error %v", waits, err)
	}
	for _, d := range waits {
		if jobs := map[string]int64{"default": 2, "other": 1}[d.Queue]; d.Jobs != jobs || d.OldestSeconds < 0 || d.OldestSeconds > 60 {
			t.Errorf("due is %+v", d)
		}
	}
}

func TestATallyStopsAtItsLimitAndSaysOfWhichStatesThereMayBeMore(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	var due, later []store.NewJob
	for range 10 {
		due, later = append(due, store.NewJob{Kind: "a"}), append(later, store.NewJob{Kind: "a", ScheduledAt: time.Now().Add(time.Hour)})
	}
	f.enqueue(t, due...)
	ids := f.enqueue(t, later...)
	f.makeDue(t, ids[0]) // not moved to ready yet: nobody claims
	for limit, want := range map[int]store.Tally{
		3:  {Jobs: map[understudy.State]int64{"available": 3 + 1, "scheduled": 3 - 1}, More: []understudy.State{"scheduled", "retryable", "available"}},
		11: {Jobs: map[understudy.State]int64{"available": 10 + 1, "scheduled": 9}},
		1:  {Jobs: map[understudy.State]int64{"available": 1 + 1}, More: []understudy.State{"scheduled", "retryable", "available"}},
	} {
		if got, err := f.Tally(t.Context(), limit); err != nil || !cmp.Equal(want, got) {
			t.Errorf("at %d: %v (-want +got):\n%s", limit, err, cmp.Diff(want, got))
		}
	}
}

func TestWhatIsDueIsToldOfTheNamedQueuesAndOfAllOthersTogether(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	var jobs []store.NewJob
	for _, queue := range []string{"a", "default", "default", "m", "mm", "other", "zz", strings.Repeat("\U0010FFFF", 32)} {
		jobs = append(jobs, store.NewJob{Kind: "a", Queue: queue})
	}
	f.enqueue(t, jobs...)
	for _, c := range []struct {
		named []string
		want  map[string]int64 // "" for all others
	}{
		{[]string{"default"}, map[string]int64{"default": 2, "": 6}},
		{[]string{"zz", "default", "m", "nobody's"}, map[string]int64{"default": 2, "m": 1, "zz": 1, "": 4}},
		{[]string{"default", "default"}, map[string]int64{"default": 2, "": 6}},
		{nil, map[string]int64{"": 8}},
		{[]string{"a", "default", "m", "mm", "other", "zz", jobs[7].Queue}, map[string]int64{"a": 1, "default": 2, "m": 1, "mm": 1, "other": 1, "zz": 1, jobs[7].Queue: 1, "": 0}},
	} {
		due, err := f.Due(t.Context(), c.named)
		other, err2 := f.OtherDue(t.Context(), c.named)
		got := map[string]int64{"": other.Jobs}
		for _, d := range append(due, other) {
			got[d.Queue] = d.Jobs
			if d.OldestSeconds < 0 || d.OldestSeconds > 60 {
				t.Errorf("of %q: %+v", c.named, d)
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil || err2 != nil {
			t.Errorf("of %q: %v, %v (-want +got):\n%s", c.named, err, err2, diff)
		}
	}
}

func TestInventedQueuesCostTheNamedOnesNothing(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	f.enqueue(t, store.NewJob{Kind: "a"}, store.NewJob{Kind: "a"})
	f.exec(t, `INSERT INTO {schema}.ready (queue, kind, priority, run_at, job_ids, requeues)
		SELECT 'q' || g, 'a', 1, now() - interval '1 hour', ARRAY[g], 0 FROM generate_series(1000, 50999) g`)
	defer f.exec(t, "DELETE FROM {schema}.ready WHERE queue LIKE 'q%'")
	named := f.readBy(t, func(s *store.Store) {
		if due, err := s.Due(t.Context(), []string{"default"}); err != nil || len(due) != 1 || due[0].Jobs != 2 {
			t.Errorf("the named one is %+v, error %v", due, err)
		}
	})
	if named > 1000 {
		t.Errorf("the look at the named queue read %d tuples", named)
	}
	others := f.readBy(t, func(s *store.Store) {
		if due, err := s.OtherDue(t.Context(), []string{"default"}); err != nil || due.Jobs != 10_000 || due.OldestSeconds < 3600 {
			t.Errorf("the others are %+v, error %v", due, err)
		}
	})
	if others > 15_000 {
		t.Errorf("the look at the others read %d tuples", others)
	}
}

// readBy is how many tuples of the schema's tables and indexes something read.
func (f *fixture) readBy(t *testing.T, do func(*store.Store)) int64 {
	t.Helper()
	const mark = "SELECT seq_scan FROM pg_stat_user_tables WHERE schemaname = $1 AND relname = 'slices'"
	f.pool.Reset()
	before, marked := get[int64](t, f, tuplesReadIn, f.schema), get[int64](t, f, mark, f.schema)
	do(f.Store)
	f.exec(t, "SELECT FROM {schema}.slices")
	f.pool.Reset() // a session's counts show for certain once it is over
	eventually(t, "what was read is counted", func() bool { return get[int64](t, f, mark, f.schema) > marked })
	return get[int64](t, f, tuplesReadIn, f.schema) - before
}
