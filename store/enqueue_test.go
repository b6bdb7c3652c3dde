package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/internal/pgtest"
	"github.com/understudy-worker/understudy/store"
)

// plain is how a job of kind a stands that was enqueued without more.
var plain = store.JobRow{
	Queue: "default", Kind: "a", Args: json.RawMessage(`{}`), State: understudy.StateAvailable, Priority: 1,
	MaxAttempts: 25, Metadata: json.RawMessage(`{}`), Attempts: []store.Attempt{},
}

var ignoreTimes = cmpopts.IgnoreFields(store.JobRow{}, "ID", "ScheduledAt", "CreatedAt")

func TestEnqueueFillsInTheDefaults(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	for name, enqueue := range map[string]func() (int64, error){
		"in Go": func() (int64, error) { return f.Enqueue(t.Context(), store.NewJob{Kind: "a"}) },
		"in SQL": func() (int64, error) {
			return get[int64](t, f, "SELECT {schema}.enqueue('a')"), nil
		},
		"in SQL with nulls": func() (int64, error) {
			return get[int64](t, f, "SELECT {schema}.enqueue('a', NULL, NULL, NULL, NULL, NULL, NULL, NULL)"), nil
		},
		"in bulk with nulls": func() (int64, error) {
			return get[int64](t, f, "SELECT ({schema}.enqueue_many('{a}', NULL, '{NULL}', NULL, '{NULL}', '{NULL}', '{}', '{NULL}'))[1]"), nil
		},
	} {
		before := get[time.Time](t, f, "SELECT clock_timestamp()")
		id, err := enqueue()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		row := f.job(t, id)
		if diff := cmp.Diff(plain, row, ignoreTimes); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if row.ScheduledAt.Before(before) || !row.CreatedAt.Equal(row.ScheduledAt) {
			t.Errorf("%s: scheduled at %s, created at %s, after %s", name, row.ScheduledAt, row.CreatedAt, before)
		}
	}
}

func TestEnqueueKeepsWhatItIsGiven(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	at := time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.FixedZone("east", 0))
	want := store.JobRow{
		Queue: "mail", Kind: "a", Args: json.RawMessage(`{"to": "<you & me>"}`), State: understudy.StateScheduled, Priority: 4,
		ScheduledAt: at.UTC(), MaxAttempts: 3, UniqueKey: "k", Metadata: json.RawMessage(`{"trace": 1}`), Attempts: []store.Attempt{},
	}
	inGo, err := f.Enqueue(t.Context(), store.NewJob{
		Kind: "a", Args: map[string]string{"to": "<you & me>"}, Queue: "mail", Priority: 4, ScheduledAt: at,
		MaxAttempts: 3, UniqueKey: "k", Metadata: json.RawMessage(`{"trace":1}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	ignore := cmpopts.IgnoreFields(store.JobRow{}, "ID", "CreatedAt")
	if diff := cmp.Diff(want, f.job(t, inGo), ignore); diff != "" {
		t.Errorf("in Go (-want +got):\n%s", diff)
	}
	want.UniqueKey = "other"
	inSQL := get[int64](t, f, `SELECT {schema}.enqueue(kind => 'a', args => '{"to": "<you & me>"}', queue => 'mail', priority => 4,
		scheduled_at => '9999-12-31 23:59:59.999999Z', max_attempts => 3, unique_key => 'other', metadata => '{"trace": 1}')`)
	if diff := cmp.Diff(want, f.job(t, inSQL), ignore); diff != "" {
		t.Errorf("in SQL (-want +got):\n%s", diff)
	}
}

func TestAJobOfTheYear9999IsJSONInEveryZone(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	id := f.enqueue(t, store.NewJob{Kind: "a", ScheduledAt: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)})[0]
	row := f.job(t, id)
	if row.ScheduledAt.Location() != time.UTC {
		t.Errorf("the time is in zone %s", row.ScheduledAt.Location())
	}
	if _, err := json.Marshal(row); err != nil {
		t.Error(err)
	}
}

// limits are jobs at a limit, which are enqueued, and beyond, which are not.
var limits = []struct {
	name    string
	sql     string // arguments of enqueue
	job     store.NewJob
	problem string // empty: none
}{
	{"kind of 128 bytes", `repeat('k', 128)`, store.NewJob{Kind: strings.Repeat("k", 128)}, ""},
	{"kind of 129 bytes", `repeat('é', 64) || 'k'`, store.NewJob{Kind: strings.Repeat("é", 64) + "k"}, "kind has 129 bytes, the limit is 128"},
	{"empty kind", `''`, store.NewJob{}, "kind is empty: name the handler that is to work the job"},
	{"null kind", `NULL`, store.NewJob{}, "kind is empty: name the handler that is to work the job"},
	{"queue of 128 bytes", `'a', queue => repeat('q', 128)`, store.NewJob{Kind: "a", Queue: strings.Repeat("q", 128)}, ""},
	{"queue of 129 bytes", `'a', queue => repeat('q', 129)`, store.NewJob{Kind: "a", Queue: strings.Repeat("q", 129)}, "queue has 129 bytes, the limit is 128"},
	{"unique key of 512 bytes", `'a', unique_key => repeat('u', 512)`, store.NewJob{Kind: "a", UniqueKey: strings.Repeat("u", 512)}, ""},
	{"unique key of 513 bytes", `'a', unique_key => repeat('u', 513)`, store.NewJob{Kind: "a", UniqueKey: strings.Repeat("u", 513)}, "unique_key has 513 bytes, the limit is 512"},
	{"args of 1 MiB", `'a', to_jsonb(repeat('x', 1048574))`, store.NewJob{Kind: "a", Args: strings.Repeat("x", 1048574)}, ""},
	{"args beyond 1 MiB", `'a', to_jsonb(repeat('x', 1048575))`, store.NewJob{Kind: "a", Args: strings.Repeat("x", 1048575)}, "args has 1048577 bytes, the limit is 1048576"},
	{"args of 20 MB", `'a', to_jsonb(repeat('x', 20000000))`, store.NewJob{Kind: "a", Args: strings.Repeat("x", 20000000)}, "args has 20000002 bytes, the limit is 1048576"},
	{"metadata beyond 1 MiB", `'a', metadata => to_jsonb(repeat('x', 1048575))`, store.NewJob{Kind: "a", Metadata: strings.Repeat("x", 1048575)}, "metadata has 1048577 bytes, the limit is 1048576"},
	{"priority 4", `'a', priority => 4`, store.NewJob{Kind: "a", Priority: 4}, ""},
	{"priority 5", `'a', priority => 5`, store.NewJob{Kind: "a", Priority: 5}, "priority is 5: it goes from 1, claimed first, to 4"},
	{"priority below 1", `'a', priority => -1`, store.NewJob{Kind: "a", Priority: -1}, "priority is -1: it goes from 1, claimed first, to 4"},
	{"max_attempts 32767", `'a', max_attempts => 32767`, store.NewJob{Kind: "a", MaxAttempts: 32767}, ""},
	{"max_attempts 32768", `'a', max_attempts => 32768`, store.NewJob{Kind: "a", MaxAttempts: 32768}, "max_attempts is 32768: it goes from 1 to 32767"},
	{"max_attempts below 0", `'a', max_attempts => -1`, store.NewJob{Kind: "a", MaxAttempts: -1}, "max_attempts is -1: it goes from 1 to 32767"},
	{"year 9999", `'a', scheduled_at => '9999-12-31 23:59:59Z'`, store.NewJob{Kind: "a", ScheduledAt: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)}, ""},
	{"year 10000", `'a', scheduled_at => '10000-01-01 00:00:00Z'`, store.NewJob{Kind: "a", ScheduledAt: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}, "use a time from year 1 to year 9999"},
	{"year 0", `'a', scheduled_at => '0001-12-31 00:00:00Z BC'`, store.NewJob{Kind: "a", ScheduledAt: time.Date(0, 12, 31, 0, 0, 0, 0, time.UTC)}, "use a time from year 1 to year 9999"},
	{"beyond what Postgres can count", `'a', scheduled_at => 'infinity'`, store.NewJob{Kind: "a", ScheduledAt: time.Date(300000, 1, 1, 0, 0, 0, 0, time.UTC)}, "use a time from year 1 to year 9999"},
	{"before all time", `'a', scheduled_at => '-infinity'`, store.NewJob{Kind: "a", ScheduledAt: time.Date(-300000, 1, 1, 0, 0, 0, 0, time.UTC)}, "use a time from year 1 to year 9999"},
	{"nested 1,000 deep", `'a', (repeat('[', 1000) || repeat(']', 1000))::jsonb`, store.NewJob{Kind: "a", Args: nested(1000)}, ""},
	{"nested 1,001 deep", `'a', (repeat('[', 1001) || repeat(']', 1001))::jsonb`, store.NewJob{Kind: "a", Args: nested(1001)}, "args is nested too deep, the limit is 1000 levels"},
	{"a number that is written out long", `'a', '[1e130000, 1e130000, 1e130000, 1e130000, 1e130000, 1e130000, 1e130000, 1e130000, 1e130000]'`,
		store.NewJob{Kind: "a", Args: json.RawMessage(`[1e130000]`)}, "args "},
}

func nested(depth int) json.RawMessage {
	return json.RawMessage(strings.Repeat("[", depth) + strings.Repeat("]", depth))
}

func TestLimitsAreCheckedAtEnqueueAndNamed(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	for _, c := range limits {
		t.Run(c.name, func(t *testing.T) {
			var id int64
			sqlErr := f.pool.QueryRow(t.Context(), f.sql("SELECT {schema}.enqueue("+c.sql+")")).Scan(&id)
			_, goErr := f.Enqueue(t.Context(), c.job)
			if c.problem == "" {
				if err := errors.Join(sqlErr, goErr); err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, sqlErr, "ERROR: enqueue: ")
			wantError(t, sqlErr, c.problem)
			wantError(t, goErr, c.problem)
			if message := refusal(t, goErr).Message; !strings.HasPrefix(message, "enqueue: ") {
				t.Errorf("the message is %q", message)
			}
		})
	}
}

func TestAnEmptyTextIsRefusedInSQLAndTheDefaultInGo(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	for argument, problem := range map[string]string{
		"queue => ''":       `queue is empty: leave it out for "default"`,
		"unique_key => ''":  "unique_key is empty: leave it out for a job that is not unique",
		"priority => 0":     "priority is 0: it goes from 1, claimed first, to 4",
		"max_attempts => 0": "max_attempts is 0: it goes from 1 to 32767",
	} {
		_, err := f.pool.Exec(t.Context(), f.sql("SELECT {schema}.enqueue('a', "+argument+")"))
		wantError(t, err, problem)
	}
	id := f.enqueue(t, store.NewJob{Kind: "a", Queue: "", UniqueKey: "", Priority: 0, MaxAttempts: 0})[0]
	if diff := cmp.Diff(plain, f.job(t, id), ignoreTimes); diff != "" {
		t.Errorf("job (-want +got):\n%s", diff)
	}
}

func TestWhatPostgresCannotStoreIsNamedBeforeItIsSent(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	for name, c := range map[string]struct {
		job     store.NewJob
		problem string
	}{
		"kind not UTF-8":        {store.NewJob{Kind: "a\xff"}, "kind is not valid UTF-8"},
		"queue not UTF-8":       {store.NewJob{Kind: "a", Queue: "\xff"}, "queue is not valid UTF-8"},
		"unique key with NUL":   {store.NewJob{Kind: "a", UniqueKey: "k\x00"}, "unique_key contains a NUL character, which Postgres cannot store"},
		"kind with NUL":         {store.NewJob{Kind: "a\x00"}, "kind contains a NUL character, which Postgres cannot store"},
		"args with NUL":         {store.NewJob{Kind: "a", Args: "x\x00"}, `args contains \u0000, which Postgres cannot store`},
		"raw args with NUL":     {store.NewJob{Kind: "a", Args: json.RawMessage(`{"\\\u0000": 1}`)}, `args contains \u0000, which Postgres cannot store`},
		"args with a half pair": {store.NewJob{Kind: "a", Args: json.RawMessage(`["\ud83d"]`)}, `args contains \ud83d, half of a surrogate pair`},
		"args not UTF-8":        {store.NewJob{Kind: "a", Args: json.RawMessage("[\"\xff\"]")}, "args is not valid UTF-8"},
		"args not JSON":         {store.NewJob{Kind: "a", Args: json.RawMessage("{")}, "args cannot be made JSON"},
		"args a channel":        {store.NewJob{Kind: "a", Args: make(chan int)}, "args cannot be made JSON"},
		"args very deep":        {store.NewJob{Kind: "a", Args: nested(10_000)}, "args is nested too deep, the limit is 1000 levels"},
		"args deeper than Go's": {store.NewJob{Kind: "a", Args: nested(20_000)}, "args cannot be made JSON"},
		"metadata with NUL":     {store.NewJob{Kind: "a", Metadata: "\x00"}, `metadata contains \u0000, which Postgres cannot store`},
	} {
		_, err := f.Enqueue(t.Context(), c.job)
		wantError(t, err, c.problem)
		_, err = f.EnqueueMany(t.Context(), []store.NewJob{{Kind: "a"}, c.job})
		wantError(t, err, "enqueue: job 2: "+c.problem)
		if t.Failed() {
			t.Fatal(name)
		}
	}
	if n := get[int](t, f, "SELECT count(*) FROM {schema}.jobs"); n != 0 {
		t.Errorf("%d jobs were enqueued", n)
	}
}

func TestWhatLooksLikeAnEscapeIsKept(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	args := `["\\u0000", "\ud83d\ude00", "\"\\", "é", 1e3, -0.5e-3, "1e999999"]`
	id, err := f.Enqueue(t.Context(), store.NewJob{Kind: "a", Args: json.RawMessage(args)})
	if err != nil {
		t.Fatal(err)
	}
	var want, got []any
	if err := errors.Join(json.Unmarshal([]byte(args), &want), json.Unmarshal(f.job(t, id).Args, &got)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("args (-want +got):\n%s", diff)
	}
}

func TestJSONThatNestsTooDeepInSQLLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	for _, depth := range []int{2_000, 10_000, 100_000} {
		_, err := f.pool.Exec(t.Context(), f.sql("SELECT {schema}.enqueue('a', (repeat('[', $1) || repeat(']', $1))::jsonb)"), depth)
		if err == nil || !strings.Contains(err.Error(), "the limit is 1000 levels") && !strings.Contains(err.Error(), "stack depth limit exceeded") {
			t.Errorf("%d levels: error is %v", depth, err)
		}
	}
	f.exec(t, "SELECT {schema}.enqueue('a', (repeat('[', 1000) || repeat(']', 1000))::jsonb)")
	if jobs := claim(t, q, 10, "a"); len(jobs) != 1 || !json.Valid(jobs[0].Args) {
		t.Errorf("claimed %d jobs, want the one that nests 1000 deep", len(jobs))
	}
}

func TestEnqueueTxIsPartOfItsTransaction(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	for _, commit := range []bool{false, true} {
		tx := f.begin(t)
		one, err := f.EnqueueTx(t.Context(), tx, store.NewJob{Kind: "a"})
		if err != nil {
			t.Fatal(err)
		}
		more, err := f.EnqueueManyTx(t.Context(), tx, []store.NewJob{{Kind: "a"}, {Kind: "a"}})
		if err != nil {
			t.Fatal(err)
		}
		if jobs := claim(t, q, 10, "a"); len(jobs) != 0 {
			t.Fatalf("claimed %v before the commit", idsOf(jobs))
		}
		if !commit {
			if err := tx.Rollback(t.Context()); err != nil {
				t.Fatal(err)
			}
			if jobs := claim(t, q, 10, "a"); len(jobs) != 0 {
				t.Fatalf("claimed %v after the rollback", idsOf(jobs))
			}
			continue
		}
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		held(t, q, append([]int64{one}, more...), "a")
	}
}

func TestARefusedJobAbortsItsTransactionOnly(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	err := pgx.BeginFunc(t.Context(), f.pool, func(tx pgx.Tx) error {
		if _, err := f.EnqueueTx(t.Context(), tx, store.NewJob{Kind: "a"}); err != nil {
			return err
		}
		// Refused before it is sent: the transaction goes on.
		if _, err := f.EnqueueTx(t.Context(), tx, store.NewJob{Kind: ""}); err == nil {
			return errors.New("an empty kind was enqueued")
		}
		_, err := f.EnqueueTx(t.Context(), tx, store.NewJob{Kind: "b"})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := get[int](t, f, "SELECT count(*) FROM {schema}.jobs"); n != 2 {
		t.Errorf("%d jobs, want 2", n)
	}
}

func TestEnqueueInAnUnmigratedSchemaSaysWhatToRun(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	s, err := store.New(f.pool, "no_such_schema")
	if err != nil {
		t.Fatal(err)
	}
	for what, call := range map[string]func() error{
		"enqueue": func() error { _, err := s.Enqueue(t.Context(), store.NewJob{Kind: "a"}); return err },
		"list":    func() error { _, err := s.Jobs(t.Context(), store.Filter{}); return err },
		"counts":  func() error { _, err := s.Counts(t.Context()); return err },
		"cancel":  func() error { _, err := s.Cancel(t.Context(), 1); return err },
	} {
		err := call()
		wantError(t, err, `in schema "no_such_schema": migrate the schema first: understudy migrate up`)
		if t.Failed() {
			t.Fatal(what)
		}
	}
}

func TestASchemaNameMustBeOneThatPostgresKeeps(t *testing.T) {
	t.Parallel()
	config := pgtest.Pool(t).Config().ConnConfig
	for _, name := range []string{"", strings.Repeat("x", 64), "a\x00b"} {
		_, err := store.New(nil, name)
		wantError(t, err, fmt.Sprintf("schema %q: use a name of 1 to 63 bytes", name))
		wantError(t, store.Migrate(t.Context(), config, store.MigrateOptions{Schema: name}), "use a name of 1 to 63 bytes")
	}
}
