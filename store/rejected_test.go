package store_test

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/store"
)

func TestErrorsOfAnyKindAreKept(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	for name, c := range map[string]struct{ given, begins, ends string }{
		"huge":              {strings.Repeat("e", 5<<20), "eee", "ee … (5242880 bytes in all)"},
		"huge, cut in char": {strings.Repeat("é", 5<<20), "éé", "é … (10485760 bytes in all)"},
		"not UTF-8":         {"bad \xff\xfe byte", "bad \uFFFD byte", "bad \uFFFD byte"},
		"NUL":               {"a\x00b", "a\uFFFDb", "a\uFFFDb"},
		"control, quotes":   {"\x01\"'\\\u2028", "\x01\"'\\\u2028", "\u2028"},
	} {
		id := mustEnqueue(t, f, store.NewJob{Kind: "a"})
		record(t, q, understudy.Outcome{Job: held(t, q, []int64{id}, "a")[0], Verdict: understudy.Retried, Error: c.given})
		record(t, q, understudy.Outcome{Job: held(t, q, []int64{id}, "a")[0], Verdict: understudy.Discarded, Error: c.given})
		row := f.job(t, id)
		for _, got := range []string{row.LastError, row.Attempts[0].Error, row.Attempts[1].Error} {
			if !strings.HasPrefix(got, c.begins) || !strings.HasSuffix(got, c.ends) || len(got) > 9000 || !utf8.ValidString(got) {
				t.Errorf("%s: kept %d bytes: %.50q", name, len(got), got)
			}
		}
	}
}

// unstorable are results that cannot be stored, and what the warning says. A
// constraint of the table stands for what only the server knows.
var unstorable = map[string]struct {
	result any
	says   string
}{
	"a NUL":                       {"a\x00b", `result contains \u0000, which Postgres cannot store`},
	"half a pair":                 {json.RawMessage(`"\udc00"`), `result contains \udc00, half of a surrogate pair, which Postgres cannot store`},
	"half a pair before another":  {json.RawMessage(`{"a": "\ud800\ud800\udc00"}`), `result contains \ud800, half of a surrogate pair, which Postgres cannot store`},
	"a key with a NUL":            {map[string]int{"\x00": 1}, `result contains \u0000, which Postgres cannot store`},
	"a great number":              {json.RawMessage(`{"a": 1e5000}`), "result contains the number 1e5000, the limit of an exponent is 1000"},
	"a number beyond Postgres":    {json.RawMessage(`[1e400000]`), "result contains the number 1e400000, the limit of an exponent is 1000"},
	"a small number":              {json.RawMessage(`-1E-5000`), "result contains the number -1E-5000, the limit of an exponent is 1000"},
	"a long number":               {json.RawMessage(strings.Repeat("9", 200_000)), "result contains a number of 200000 characters, the limit is 10000"},
	"too deep":                    {nested(1001), "result is nested too deep, the limit is 1000 levels"},
	"too deep for Go":             {nested(20_000), "result cannot be made JSON: "},
	"too long":                    {strings.Repeat("x", 1<<20), "result has 1048578 bytes, the limit is 1048576"},
	"too long once written out":   {json.RawMessage("[1e1000" + strings.Repeat(",1e1000", 1100) + "]"), "result has more than 1048576 bytes once its numbers are written out"},
	"not UTF-8":                   {json.RawMessage("\"\xff\""), "result is not valid UTF-8"},
	"no JSON":                     {math.NaN(), "result cannot be made JSON: json: unsupported value: NaN"},
	"what only the server knows":  {"to the server alone", "result cannot be stored: ERROR: new row for relation \"finished_jobs_0\" violates check constraint \"in_test\""},
	"what only a trigger refuses": {"to a trigger", "result cannot be stored: ERROR: not this (SQLSTATE P0001)"},
}

// refusals make the server refuse what the store lets through.
func (f *fixture) refusals(t *testing.T) {
	t.Helper()
	f.exec(t, `ALTER TABLE {schema}.finished_jobs ADD CONSTRAINT in_test CHECK (result <> '"to the server alone"')`)
	f.exec(t, `CREATE FUNCTION {schema}.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			IF NEW.result = '"to a trigger"' THEN RAISE 'not this'; END IF;
			RETURN NEW;
		END $$`)
	f.exec(t, "CREATE TRIGGER in_test BEFORE INSERT ON {schema}.finished_jobs FOR EACH ROW EXECUTE FUNCTION {schema}.refuse()")
}

func TestAJobWhoseResultCannotBeStoredIsCompletedWithAWarningAndHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	f.refusals(t)
	f.enqueue(t, noops(10*len(unstorable), 1)...)
	jobs := claim(t, q, 10*len(unstorable), "noop0")
	says := map[int64]string{}
	for name, c := range unstorable {
		job := jobs[10*len(says)+5]
		if err := job.SetResult(c.result); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		says[job.ID] = c.says
	}
	for _, job := range []*understudy.Job{jobs[0], jobs[len(jobs)-1]} {
		if err := job.SetResult("fine"); err != nil {
			t.Fatal(err)
		}
	}
	done := record(t, q, completions(jobs)...)
	if len(done.Fenced)+len(done.Deferred)+len(done.Rejected) != 0 || len(done.Warned) != len(unstorable) {
		t.Errorf("recorded %+v", done)
	}
	for _, o := range done.Warned {
		if !strings.HasPrefix(o.Warning, says[o.Job.ID]) {
			t.Errorf("job %d: the warning is %q, want %q", o.Job.ID, o.Warning, says[o.Job.ID])
		}
	}
	for i, job := range jobs {
		row, want := f.job(t, job.ID), says[job.ID]
		if row.State != "completed" || row.Attempt != 1 || row.LastError != "" || row.Attempts[0].Error != "" {
			t.Errorf("job %d is %s after attempt %d: %s", row.ID, row.State, row.Attempt, row.LastError)
		}
		if (row.Warning == "") != (want == "") || !strings.HasPrefix(row.Warning, want) || (row.Result != nil) != (i == 0 || i == len(jobs)-1) {
			t.Errorf("job %d has the result %.20s and the warning %q, want %q", row.ID, row.Result, row.Warning, want)
		}
	}
	if n := get[int](t, f, "SELECT count(*) FROM {schema}.claims"); n != 0 {
		t.Errorf("%d claims are left", n)
	}
}

func TestAnOutcomeOfNoVerdictIsRejectedAndHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	f.enqueue(t, noops(3, 1)...)
	jobs := claim(t, q, 3, "noop0")
	done := record(t, q, understudy.Outcome{Job: jobs[0], Verdict: 99}, understudy.Outcome{Job: jobs[1]},
		understudy.Outcome{Job: jobs[2], Verdict: understudy.Completed})
	if len(done.Rejected) != 2 || done.Rejected[0].Err == nil || done.Rejected[1].Err == nil || f.state(t, jobs[2].ID) != "completed" {
		t.Errorf("recorded %+v", done)
	}
	completed(t, q, jobs[:2]...) // they are held still
}

func TestTextsThatADatabaseCannotHoldAreKeptInASCII(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	// As a database does whose encoding has no such character.
	f.exec(t, `ALTER TABLE {schema}.finished_jobs ADD CONSTRAINT encoding CHECK (last_error !~ '[^\x01-\x7f]' AND warning !~ '[^\x01-\x7f]')`)
	f.exec(t, `ALTER TABLE {schema}.open_jobs ADD CONSTRAINT encoding CHECK (last_error !~ '[^\x01-\x7f]' AND past_attempts::text !~ '[^\x01-\x7f]')`)
	ids := f.enqueue(t, noops(30, 1)...)
	jobs := held(t, q, ids, "noop0")
	batch := completions(jobs)
	batch[7] = understudy.Outcome{Job: jobs[7], Verdict: understudy.Retried, Error: "1 € \"\\u0000\" \x00", Delay: time.Hour}
	batch[8] = understudy.Outcome{Job: jobs[8], Verdict: understudy.Discarded, Error: "😀" + strings.Repeat("é", 5000)}
	batch[9] = understudy.Outcome{Job: jobs[9], Verdict: understudy.Cancelled, Error: "日本"}
	jobs[10].LeaveResult("too much: 日本")
	done := record(t, q, batch...)
	if len(done.Fenced)+len(done.Deferred)+len(done.Rejected) != 0 || len(done.Warned) != 1 {
		t.Errorf("recorded %+v", done)
	}
	for i, want := range map[int]struct {
		state understudy.State
		text  string
	}{
		7: {"retryable", `1 \u20ac "\u0000" \ufffd`}, 8: {"discarded", `\U0001f600\u00e9\u00e9`}, 9: {"cancelled", `\u65e5\u672c`}, 10: {"completed", `too much: \u65e5\u672c`},
	} {
		row := f.job(t, ids[i])
		got := row.LastError + row.Warning
		if row.State != want.state || !strings.HasPrefix(got, want.text) || len(got) > understudy.MaxErrorBytes {
			t.Errorf("job %d is %s: %.100q, want %s: %q", row.ID, row.State, got, want.state, want.text)
		}
		if i < 10 && !strings.HasPrefix(row.Attempts[0].Error, want.text) {
			t.Errorf("the attempt at job %d is listed with %.100q", row.ID, row.Attempts[0].Error)
		}
	}
	if row := f.job(t, ids[7]); time.Until(row.ScheduledAt) < 59*time.Minute {
		t.Errorf("the retry is due at %s, want an hour from now", row.ScheduledAt)
	}
	if n := get[int](t, f, "SELECT count(*) FROM {schema}.finished_jobs WHERE state = 'completed'"); n != 27 {
		t.Errorf("%d jobs completed, want 27", n)
	}
}

func TestResultsThatAreHugeTogetherAreRecordedInParts(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	const jobs = 40
	ids := f.enqueue(t, noops(jobs, 1)...)
	batch := completions(held(t, q, ids, "noop0"))
	for i := range batch {
		if err := batch[i].Job.SetResult(strings.Repeat("x", 1<<20-2)); err != nil {
			t.Fatal(err)
		}
	}
	if done := record(t, q, batch...); !cmp.Equal(done, understudy.Recorded{}) {
		t.Errorf("recorded %+v", done)
	}
	if n := get[int](t, f, "SELECT count(*) FROM {schema}.finished_jobs WHERE octet_length(result::text) = 1 << 20"); n != jobs {
		t.Errorf("%d results are kept, want %d", n, jobs)
	}
	if n := get[int](t, f, "SELECT count(DISTINCT finalized_at) FROM {schema}.finished_jobs"); n != 3 {
		t.Errorf("40 MiB were written in %d transactions, want 3", n)
	}
}

func TestAnOutcomeThatTheServerRefusesIsFoundAmongTheRest(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	f.exec(t, "ALTER TABLE {schema}.finished_jobs ADD CONSTRAINT in_test CHECK (args <> '{\"n\": 30}')")
	f.enqueue(t, noops(100, 1)...)
	jobs := claim(t, q, 100, "noop0")
	batch := completions(jobs)
	batch[31].Verdict = understudy.Retried
	done := record(t, q, batch...)
	if len(done.Rejected) != 1 || done.Rejected[0].Outcome.Job != jobs[30] || len(done.Fenced)+len(done.Deferred) != 0 {
		t.Fatalf("recorded %+v", done)
	}
	wantError(t, done.Rejected[0].Err, "in_test")
	if n := get[int](t, f, "SELECT count(*) FROM {schema}.jobs WHERE state = 'completed'"); n != 98 {
		t.Errorf("%d jobs completed, want 98", n)
	}
	completed(t, q, claim(t, q, 1, "noop0")...)
	f.exec(t, "ALTER TABLE {schema}.finished_jobs DROP CONSTRAINT in_test")
	completed(t, q, jobs[30])
}

func TestRecordingNothingIsNoError(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	if done := record(t, q); !cmp.Equal(done, understudy.Recorded{}) {
		t.Errorf("recorded %+v", done)
	}
}

func TestCallersThatRecordOneClaimTogetherLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	const jobs, callers = 400, 4
	f.enqueue(t, noops(jobs, 1)...)
	batch := completions(claim(t, q, jobs, "noop0"))
	var work sync.WaitGroup
	for part := range slices.Chunk(batch, jobs/callers) {
		work.Go(func() {
			for half := range slices.Chunk(part, 10) {
				if done := record(t, q, half...); !cmp.Equal(done, understudy.Recorded{}) {
					t.Errorf("recorded %+v", done)
				}
			}
		})
	}
	work.Wait()
	if found, err := q.Reconcile(t.Context()); err != nil || found.Reclaimed != 0 {
		t.Errorf("reconciled %+v, error %v", found, err)
	}
	if n := get[int](t, f, "SELECT count(*) FROM {schema}.claims"); n != 0 {
		t.Errorf("%d claims are left", n)
	}
}
