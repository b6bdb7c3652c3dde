package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/store"
)

// pages follows a search to its end and returns the ids that it shows.
func (f *fixture) pages(t testing.TB, search store.Search) (ids []int64, pages int) {
	t.Helper()
	for {
		found, err := f.Search(t.Context(), search)
		if err != nil {
			t.Fatal(err)
		}
		pages++
		for _, job := range found.Jobs {
			ids = append(ids, job.ID)
		}
		if found.Next == 0 {
			return ids, pages
		}
		if search.Before != 0 && found.Next >= search.Before {
			t.Fatalf("the page before %d leads to the one before %d", search.Before, found.Next)
		}
		search.Before = found.Next
	}
}

// find is the ids on all pages of a search for a text, in order.
func (f *fixture) find(t testing.TB, text string) []int64 {
	t.Helper()
	ids, _ := f.pages(t, store.Search{Text: text})
	slices.Sort(ids)
	return ids
}

// variety makes jobs in every state, of three kinds in two queues.
func (f *fixture) variety(t testing.TB) *store.Queue {
	t.Helper()
	var jobs []store.NewJob
	for i := range 210 {
		job := store.NewJob{Kind: fmt.Sprintf("kind%d", i%3), Args: map[string]int{"n": i}, UniqueKey: fmt.Sprintf("key-%d", i)}
		if i%7 == 3 {
			job.ScheduledAt = time.Now().Add(time.Hour)
		}
		if i%5 == 0 {
			job.Queue = "other"
		}
		jobs = append(jobs, job)
	}
	f.enqueue(t, jobs...)
	q := f.epoch(t)
	verdicts := []understudy.Verdict{understudy.Completed, understudy.Discarded, understudy.Cancelled, understudy.Retried}
	for i, job := range claim(t, q, 60, "kind0", "kind1") {
		record(t, q, understudy.Outcome{Job: job, Verdict: verdicts[i%4], Delay: time.Hour, Error: "no"})
	}
	claim(t, q, 20, "kind0", "kind2")
	return q
}

func TestASearchShowsEachJobThatMatchesOnce(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	f.variety(t)
	states := append([]understudy.State{""}, understudy.States...)
	for _, state := range states {
		for _, filter := range []store.Filter{{}, {Kind: "kind0"}, {Queue: "other"}, {Kind: "kind2", Queue: "other"}, {Kind: "nothing"}} {
			filter.State, filter.Limit = state, 1000
			rows, err := f.Jobs(t.Context(), filter)
			if err != nil {
				t.Fatal(err)
			}
			var want []int64
			for _, row := range rows {
				want = append(want, row.ID)
			}
			if filter.Kind == "" && filter.Queue == "" && len(want) == 0 {
				t.Errorf("no job is %s", state)
			}
			for _, search := range []store.Search{{}, {Limit: 3}, {Limit: 7, Budget: 1}, {Limit: 7, Text: "KEY-"}} {
				search.State, search.Kind, search.Queue = state, filter.Kind, filter.Queue
				got, _ := f.pages(t, search)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%+v (-want +got):\n%s", search, diff)
				}
			}
		}
	}
}

func TestASearchWithoutTimeGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	ids := f.enqueue(t, noops(300, 1)...)
	f.enqueue(t, store.NewJob{Kind: "other"})
	first, err := f.Search(t.Context(), store.Search{Kind: "noop0", Text: `"n": 0`, Budget: 1})
	if err != nil {
		t.Fatal(err)
	}
	if !first.Early || len(first.Jobs) != 0 || first.Next <= ids[0] || first.Next >= ids[len(ids)-1] {
		t.Errorf("the first page is %+v", first)
	}
	got, pages := f.pages(t, store.Search{Kind: "noop0", Text: `"n": 0}`, Budget: 1})
	if diff := cmp.Diff(ids[:1], got); diff != "" || pages < 3 {
		t.Errorf("%d pages (-want +got):\n%s", pages, diff)
	}
}

func TestASearchNeitherMissesNorRepeatsJobsThatMoveMeanwhile(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	want := f.enqueue(t, noops(600, 2)...)
	slices.Reverse(want)
	q := f.epoch(t)
	var working sync.WaitGroup
	stop := make(chan struct{})
	working.Go(func() { f.stir(t, q, stop) })
	defer working.Wait()
	defer close(stop)
	for range 3 {
		for _, search := range []store.Search{{}, {Limit: 13}, {Limit: 100, Queue: "default"}, {Limit: 100, Text: `"n"`}} {
			got, _ := f.pages(t, search)
			got = slices.DeleteFunc(got, func(id int64) bool { return id > want[0] }) // new ones
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%+v (-want +got):\n%s", search, diff)
			}
		}
	}
}

// stir works jobs, retries them and enqueues new ones, until it is stopped.
func (f *fixture) stir(t testing.TB, q *store.Queue, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		jobs, _, err := q.Claim(t.Context(), understudy.ClaimRequest{Queue: "default", Kinds: []string{"noop0", "noop1"}, Limit: 50})
		if err != nil {
			t.Error(err)
			return
		}
		var outcomes []understudy.Outcome
		for _, job := range jobs {
			outcomes = append(outcomes, understudy.Outcome{Job: job, Verdict: understudy.Completed})
		}
		_, err = q.Record(t.Context(), outcomes)
		for _, job := range jobs[:min(len(jobs), 10)] {
			if err == nil {
				_, err = f.RetryCompleted(t.Context(), job.ID)
			}
		}
		if err == nil {
			_, err = f.Enqueue(t.Context(), store.NewJob{Kind: "noop0"})
		}
		if err != nil {
			t.Error(err)
			return
		}
	}
}

func TestATextIsFoundWhereverAJobHasIt(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	ids := f.enqueue(t,
		store.NewJob{Kind: "a", Args: map[string]string{"to": "Needle@Example.com"}},
		store.NewJob{Kind: "a", Metadata: map[string]string{"request": "a needle"}},
		store.NewJob{Kind: "a", UniqueKey: "NEEDLE-1"},
		store.NewJob{Kind: "b"}, store.NewJob{Kind: "c"}, store.NewJob{Kind: "needle"})
	failing, succeeding := claim(t, q, 1, "b")[0], claim(t, q, 1, "c")[0]
	if err := succeeding.SetResult(map[string]string{"found": "the NeedlE"}); err != nil {
		t.Fatal(err)
	}
	record(t, q, understudy.Outcome{Job: failing, Verdict: understudy.Retried, Error: "no needle"},
		understudy.Outcome{Job: succeeding, Verdict: understudy.Completed})
	for _, text := range []string{"needle", "NEEDLE", "eEdL"} {
		if diff := cmp.Diff(ids[:5], f.find(t, text)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

func TestWhatAPatternWouldMeanIsTakenLiterally(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	for text, holds := range map[string]string{
		"100%": "100% sure", "a_b": "a_b", `c\d`: `c\d`, `\`: `\`, "%_": "%_", "über die STRASSE": "Fahrt über die Strasse", "日本": "日本語", "'": "it's", " ": "two words",
	} {
		hit := mustEnqueue(t, f, store.NewJob{Kind: "a", UniqueKey: holds})
		// What each would match if % and _ stood for other characters.
		miss := mustEnqueue(t, f, store.NewJob{Kind: "a", UniqueKey: strings.NewReplacer("%", "x", "_", "x", `\`, "x", "ü", "u", "日", "x", "'", "x", " ", "-").Replace(holds)})
		found := f.find(t, text)
		if !slices.Contains(found, hit) || slices.Contains(found, miss) {
			t.Errorf("%q finds %v, want job %d and not %d", text, found, hit, miss)
		}
	}
}

func TestANumberFindsTheJobOfThatIDFirst(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	var jobs []store.NewJob
	for range 120 {
		jobs = append(jobs, store.NewJob{Kind: "a"})
	}
	ids := f.enqueue(t, jobs...)
	wanted := fmt.Sprint(ids[9])
	with := []int64{mustEnqueue(t, f, store.NewJob{Kind: "a", UniqueKey: "no-" + wanted}), mustEnqueue(t, f, store.NewJob{Kind: "b", Args: ids[9]})}
	f.exec(t, "UPDATE {schema}.open_jobs SET unique_key = $2 WHERE id = $1", ids[9], "also "+wanted)
	for _, limit := range []int{1, 2, 50} {
		got, _ := f.pages(t, store.Search{Text: " " + wanted, Limit: limit})
		if diff := cmp.Diff([]int64{ids[9], with[1], with[0]}[:1], got[:1]); diff != "" {
			t.Errorf("limit %d (-want +got):\n%s", limit, diff)
		}
		got, _ = f.pages(t, store.Search{Text: wanted, Limit: limit})
		if diff := cmp.Diff([]int64{ids[9], with[1], with[0]}, got); diff != "" {
			t.Errorf("limit %d (-want +got):\n%s", limit, diff)
		}
	}
	if got, _ := f.pages(t, store.Search{Text: wanted, Kind: "b"}); !slices.Equal(got, with[1:]) {
		t.Errorf("of the other kind it finds %v", got)
	}
	for _, text := range []string{"-4711", "9223372036854775807", "9223372036854775808", "4711"} {
		if got := f.find(t, text); len(got) != 0 {
			t.Errorf("%s finds %v", text, got)
		}
	}
}

func TestWhatCannotBeSearchedForIsRefused(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	for problem, search := range map[string]store.Search{
		"text has 201 bytes, the limit is 200":                                   {Text: strings.Repeat("x", 201)},
		"text has 202 bytes, the limit is 200":                                   {Text: strings.Repeat("é", 101)},
		"text is not valid UTF-8":                                                {Text: "\xff"},
		"text contains a NUL character":                                          {Text: "a\x00"},
		"kind contains a NUL character":                                          {Kind: "a\x00"},
		"queue is not valid UTF-8":                                               {Queue: "\xff"},
		`unknown job state "nonsense": use one of scheduled, available, running`: {State: "nonsense"},
	} {
		_, err := f.Search(t.Context(), search)
		wantError(t, err, "search: "+problem)
		if r := refusal(t, err); r.NotFound() {
			t.Errorf("%v is not found", r)
		}
	}
	if _, err := f.Search(t.Context(), store.Search{Text: strings.Repeat(`\`, 200), Kind: strings.Repeat("k", 5000)}); err != nil {
		t.Error(err)
	}
}

func TestASummaryIsWhatTheJobIsWithoutWhatIsLong(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	f.enqueue(t, store.NewJob{Kind: "a", Queue: "default", Args: strings.Repeat("é", 5000), MaxAttempts: 3})
	record(t, q, understudy.Outcome{Job: claim(t, q, 1, "a")[0], Verdict: understudy.Retried, Error: strings.Repeat("e", 5000)})
	check := func() {
		t.Helper()
		found, err := f.Search(t.Context(), store.Search{})
		if err != nil || len(found.Jobs) != 1 {
			t.Fatalf("found %+v, error %v", found, err)
		}
		row := f.job(t, found.Jobs[0].ID)
		want := store.Summary{
			ID: row.ID, Queue: row.Queue, Kind: row.Kind, State: row.State, Attempt: row.Attempt, MaxAttempts: row.MaxAttempts,
			ScheduledAt: row.ScheduledAt, AttemptedAt: row.AttemptedAt, FinalizedAt: row.FinalizedAt, CancelRequested: row.CancelRequested,
			WorkerVersion: row.WorkerVersion, WorkerRole: row.WorkerRole,
			Args: `"` + strings.Repeat("é", 199), LastError: strings.Repeat("e", 200),
		}
		if diff := cmp.Diff(want, found.Jobs[0]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.State, diff)
		}
	}
	check()
	job := claim(t, q, 1, "a")[0]
	if _, err := f.Cancel(t.Context(), job.ID); err != nil {
		t.Fatal(err)
	}
	check()
	record(t, q, understudy.Outcome{Job: job, Verdict: understudy.Discarded, Error: strings.Repeat("e", 5000)})
	check()
}

func TestIDsFarApartAreNoWayToGo(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	var want []int64
	for _, next := range []int64{1, 1 << 20, 1 << 40, 1 << 60, 1<<63 - 3} {
		f.exec(t, "SELECT setval(pg_get_serial_sequence('{schema}.open_jobs', 'id'), $1)", next)
		want = append([]int64{mustEnqueue(t, f, store.NewJob{Kind: "a"})}, want...)
	}
	for _, search := range []store.Search{{}, {Kind: "a"}, {Limit: 1}} {
		got, pages := f.pages(t, search)
		if diff := cmp.Diff(want, got); diff != "" || pages > len(want)+1 {
			t.Errorf("%+v: %d pages (-want +got):\n%s", search, pages, diff)
		}
	}
}

func TestASearchWorksThroughAPoolerOfTransactions(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	f.variety(t)
	config := f.pool.Config()
	config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	config.ConnConfig.StatementCacheCapacity, config.ConnConfig.DescriptionCacheCapacity = 0, 0
	g := f.withPool(t, config)
	for _, search := range []store.Search{{Limit: 20}, {State: understudy.StateRunning}, {Kind: "kind1", Text: "key-1", Limit: 3}} {
		want, _ := f.pages(t, search)
		got, _ := g.pages(t, search)
		if diff := cmp.Diff(want, got); diff != "" || len(want) == 0 {
			t.Errorf("%+v (-want +got):\n%s", search, diff)
		}
	}
}

func TestASearchInASchemaThatIsNotThereSaysWhatToDo(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	nowhere, err := store.New(f.pool, "nowhere")
	if err != nil {
		t.Fatal(err)
	}
	_, err = nowhere.Search(t.Context(), store.Search{})
	wantError(t, err, `search jobs in schema "nowhere": migrate the schema first`)
}

// ended counts the statements of batches that the server ended.
type ended struct{ atomic.Int64 }

func (e *ended) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}

func (e *ended) TraceBatchQuery(_ context.Context, _ *pgx.Conn, data pgx.TraceBatchQueryData) {
	var pgErr *pgconn.PgError
	if errors.As(data.Err, &pgErr) && pgErr.Code == "57014" {
		e.Add(1)
	}
}

func (e *ended) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

func (e *ended) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

func (e *ended) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func TestASearchThatIsSlowLooksAtLessAndMissesNothing(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	want := f.enqueue(t, noops(30, 1)...)
	slices.Reverse(want)
	name, password := login(t, f)
	for _, statement := range []string{
		"GRANT USAGE ON SCHEMA {schema} TO " + name, "GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO " + name,
		"ALTER TABLE {schema}.open_jobs ENABLE ROW LEVEL SECURITY",
		"CREATE POLICY slow ON {schema}.open_jobs TO " + name + " USING (pg_sleep(0.02) IS NOT NULL)",
	} {
		f.exec(t, statement)
	}
	config, looks := loginConfig(f.pool, name, password), &ended{}
	config.ConnConfig.Tracer = looks
	got, pages := f.withPool(t, config).pages(t, store.Search{Kind: "noop0"})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if looks.Load() == 0 || pages < 2 {
		t.Errorf("%d looks were ended, %d pages", looks.Load(), pages)
	}
}

func TestASearchLeavesItsSessionAsItWas(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	config := f.pool.Config()
	config.MaxConns = 1
	g := f.withPool(t, config)
	const settings = "SELECT current_setting('statement_timeout') || ' ' || current_setting('jit') || ' ' || pg_backend_pid()"
	before := get[string](t, g, settings)
	if _, err := g.Search(t.Context(), store.Search{Kind: "a"}); err != nil {
		t.Fatal(err)
	}
	if after := get[string](t, g, settings); after != before {
		t.Errorf("settings and process are %s, were %s", after, before)
	}
}
