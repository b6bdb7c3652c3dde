package store_test

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
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

func TestAResultThatCannotBeStoredHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	f.enqueue(t, noops(50, 1)...)
	jobs := claim(t, q, 100, "noop0")
	for i, result := range map[int]any{
		3:  "a\x00b",
		17: json.RawMessage(`"\udc00"`),
		18: json.RawMessage(`[1e9999]`),
		41: nested(1001),
		42: json.RawMessage("[1e1000" + strings.Repeat(",1e1000", 1100) + "]"),
		49: json.RawMessage("\"\xff\""),
	} {
		if err := jobs[i].SetResult(result); err != nil {
			t.Fatal(err)
		}
	}
	bad := []int{3, 17, 18, 41, 42, 49}
	batch := completions(jobs)
	batch = append(batch, understudy.Outcome{Job: jobs[0], Verdict: 99}, understudy.Outcome{Job: jobs[1]})
	done := record(t, q, batch...)
	if len(done.Fenced) != 0 || len(done.Deferred) != 0 {
		t.Errorf("recorded %+v", done)
	}
	var got []int64
	for _, rejected := range done.Rejected {
		got = append(got, rejected.Outcome.Job.ID)
		if rejected.Err == nil {
			t.Errorf("job %d was rejected without a reason", rejected.Outcome.Job.ID)
		}
	}
	var want []int64
	for _, i := range bad {
		want = append(want, jobs[i].ID)
	}
	want = append(want, jobs[0].ID, jobs[1].ID)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rejected (-want +got):\n%s", diff)
	}
	if n := get[int](t, f, "SELECT count(*) FROM {schema}.jobs WHERE state = 'completed'"); n != 44 {
		t.Errorf("%d jobs completed, want 44", n)
	}
	// They are still held, and can be recorded otherwise.
	var instead []understudy.Outcome
	for _, i := range bad {
		instead = append(instead, understudy.Outcome{Job: jobs[i], Verdict: understudy.Discarded, Error: "result cannot be stored"})
	}
	if done := record(t, q, instead...); !cmp.Equal(done, understudy.Recorded{}) {
		t.Errorf("recorded otherwise: %+v", done)
	}
	if n := get[int](t, f, "SELECT count(*) FROM {schema}.claims"); n != 0 {
		t.Errorf("%d claims are left", n)
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
