package store_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-worker/understudy/store"
)

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

// written are JSON that takes few bytes as jsonb and many as text, and whether it
// fits: seven numbers are 917,518 bytes, nine more than a mebibyte.
var written = []struct {
	sql  string
	fits bool
}{
	{`'[1e131071, 1e131071, 1e131071, 1e131071, 1e131071, 1e131071, 1e131071]'`, true},
	{`'{"a": {"b": [-1e131071, 1e131071, 1e131071, 1e131071]}, "c": [1e131071, 1e131071, 1e131071]}'`, true},
	{`(SELECT jsonb_agg(1e131071 + g - g) FROM generate_series(1, 8) g)`, false},
	{`(SELECT jsonb_agg(1e131071::numeric) || jsonb_build_array(repeat('x', 100000)) FROM generate_series(1, 7) g)`, true},
	{`(SELECT jsonb_agg(1e131071::numeric) || jsonb_build_array(repeat('x', 200000)) FROM generate_series(1, 7) g)`, false},
	{`(SELECT jsonb_object_agg(g, -1e131071::numeric) FROM generate_series(1, 60000) g)`, false},
	{`(SELECT jsonb_agg(round(1.0, 16383)) FROM generate_series(1, 58) g)`, true},
	{`(SELECT jsonb_agg(round(0.0, 16383)) FROM generate_series(1, 63) g)`, true},
	{`(SELECT jsonb_agg(round(0.0, 16383)) FROM generate_series(1, 65) g)`, false},
	{`(SELECT jsonb_agg(1e-16383::numeric) FROM generate_series(1, 60000) g)`, false},
	{`(SELECT jsonb_agg(1e39::numeric) FROM generate_series(1, 20000) g)`, true},
	{`(SELECT jsonb_agg(1e1000::numeric) FROM generate_series(1, 1000) g)`, true},
	{`(SELECT jsonb_agg(1e1000::numeric) FROM generate_series(1, 1100) g)`, false},
	{`(SELECT jsonb_agg(0.5) FROM generate_series(1, 200000) g)`, true},
	{`(SELECT jsonb_agg(0.5) FROM generate_series(1, 220000) g)`, false},
	{`to_jsonb(repeat(chr(1), 174762))`, true},
	{`to_jsonb(repeat(chr(1), 174763))`, false},
}

func TestWhatIsWrittenOutLongIsRefusedByWhatItTakesAsText(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	for _, c := range written {
		for _, column := range []string{"args", "metadata"} {
			_, err := f.pool.Exec(t.Context(), f.sql("SELECT {schema}.enqueue('a', "+column+" => "+c.sql+")"))
			if c.fits && err != nil {
				t.Errorf("%s as %s: %v", c.sql, column, err)
			}
			if !c.fits {
				wantError(t, err, "enqueue: "+column+" has ")
				wantError(t, err, "1048576")
			}
		}
	}
	if longest := get[int](t, f, "SELECT max(greatest(octet_length(args::text), octet_length(metadata::text))) FROM {schema}.open_jobs"); longest > 1<<20 {
		t.Errorf("a job's JSON has %d bytes", longest)
	}
}

func TestNumbersAreNotWrittenOutToTellHowLongTheyAre(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	const seven = "[1e131071, 1e131071, 1e131071, 1e131071, 1e131071, 1e131071, 1e131071]"
	// As many as would be 18 GB of text: a server that writes it takes minutes.
	tx := f.begin(t)
	f.in(t, tx, "SET LOCAL statement_timeout = '30s'")
	f.in(t, tx, "SELECT cardinality({schema}.enqueue_many(array_fill('a'::text, ARRAY[10000]), array_fill($1::jsonb, ARRAY[10000]), metadata => array_fill($1::jsonb, ARRAY[10000])))", seven)
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
		"args with a long one":  {store.NewJob{Kind: "a", Args: json.RawMessage(strings.Repeat("9", 200_000))}, "args contains a number of 200000 characters, the limit is 10000"},
		"args with a great one": {store.NewJob{Kind: "a", Args: json.RawMessage("-1.5E+1001")}, "args contains the number -1.5E+1001, the limit of an exponent is 1000"},
		"args that grow long":   {store.NewJob{Kind: "a", Args: json.RawMessage("[-1e-1000" + strings.Repeat(",1E1000", 1100) + "]")}, "args has more than 1048576 bytes once its numbers are written out"},
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
