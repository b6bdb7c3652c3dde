package app_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/store"
)

func text(id int64) string { return strconv.FormatInt(id, 10) }

func idsOf(rows []store.JobRow) []int64 {
	ids := []int64{}
	for _, row := range rows {
		ids = append(ids, row.ID)
	}
	return ids
}

func TestJobsAreListedNewestFirstByEachFilter(t *testing.T) {
	t.Parallel()
	s := migratedShell(t)
	mail := s.enqueue("mail")[0]
	slow := s.enqueue("mail", "--queue=slow")[0]
	later := s.enqueue("post", "--scheduled-at=1h")[0]
	for _, test := range []struct {
		args string
		want []int64
	}{
		{"--limit=9", []int64{later, slow, mail}},
		{"--limit=2", []int64{later, slow}},
		{"--before=" + text(later), []int64{slow, mail}},
		{"--kind=post", []int64{later}},
		{"--queue=slow", []int64{slow}},
		{"--state=scheduled", []int64{later}},
		{"--state=available --queue=default", []int64{mail}},
		{"--state=running", []int64{}},
	} {
		if diff := cmp.Diff(test.want, idsOf(s.jobs(strings.Fields(test.args)...))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.args, diff)
		}
	}
	if out := strings.TrimSpace(s.ok("jobs", "list", "--state=running", "-o=json")); out != "[]" {
		t.Errorf("no jobs are %s, want an empty list", out)
	}
}

func TestTheTableOfJobsIsAlignedAndNamesTheNextPage(t *testing.T) {
	t.Parallel()
	s := migratedShell(t)
	first := s.enqueue("mail")[0]
	second := s.enqueue("a_longer_kind")[0]
	r := s.run("jobs", "list", "--limit=2")
	lines := strings.Split(strings.TrimSpace(r.out), "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[1], text(second)) || !strings.HasPrefix(lines[2], text(first)) {
		t.Fatalf("printed %q", lines)
	}
	column := strings.Index(lines[0], "QUEUE")
	for _, line := range lines[1:] {
		if !strings.HasPrefix(line[column:], "default") {
			t.Errorf("no queue at column %d of %q", column, line)
		}
	}
	if want := "there may be more: --before " + text(first) + "\n"; r.err != want {
		t.Errorf("said %q, want %q", r.err, want)
	}
	if r := s.run("jobs", "list", "--limit=3"); r.err != "" {
		t.Errorf("said %q on the last page", r.err)
	}
}

func TestShowPrintsEveryAttemptWithItsError(t *testing.T) {
	t.Parallel()
	s := migratedShell(t)
	id := s.enqueue("echo", `{"a": 1}`, "--max-attempts=2", "--unique-key=k")[0]
	hand := s.hand(s.production, "pod-1", "")
	for _, message := range []string{"first error", "panic: second\n\x1b[31mgoroutine 1"} {
		verdict := understudy.Retried
		if message != "first error" {
			verdict = understudy.Discarded
		}
		hand.record(understudy.Outcome{Job: hand.take(t.Context())[0], Verdict: verdict, Error: message})
	}
	out := s.ok("jobs", "show", text(id))
	for _, want := range []string{
		"state       discarded\n", "attempt     2/2\n", "unique key  k\n", `args        {"a": 1}` + "\n",
		"attempt 1 by version 2.0 in role preview", "\n  first error\n", "attempt 2 by version 2.0", "\n  panic: second\n   [31mgoroutine 1\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in:\n%s", want, out)
		}
	}
	var row store.JobRow
	decodeInto(t, s.ok("jobs", "show", text(id), "-o=json"), &row)
	if len(row.Attempts) != 2 || row.Attempts[0].Error != "first error" || !strings.Contains(row.Attempts[1].Error, "\x1b") {
		t.Errorf("attempts %+v", row.Attempts)
	}
	if table := s.ok("jobs", "list"); strings.Contains(table, "\x1b") || !strings.Contains(table, "panic: second …") || strings.Count(table, "\n") != 2 {
		t.Errorf("the list shows %q", table)
	}
	s.fails(1, []string{"there is no job 4711", s.production}, "jobs", "show", "4711")
}

func TestShowPrintsTheAttemptThatRuns(t *testing.T) {
	t.Parallel()
	s := migratedShell(t)
	id := s.enqueue("echo")[0]
	hand := s.hand(s.production, "pod-1", "")
	hand.take(t.Context())
	if out := s.ok("jobs", "show", text(id)); !strings.Contains(out, "attempt 1 is running since ") || !strings.Contains(out, "2.0 preview "+hand.queue.Epoch()) {
		t.Errorf("printed %s", out)
	}
	s.fails(1, []string{"is running", "cancel it first"}, "jobs", "retry", text(id))
	if out := s.ok("jobs", "cancel", text(id)); out != text(id)+" running\n" {
		t.Errorf("cancel printed %q", out)
	}
	if out := s.ok("jobs", "list"); !strings.Contains(out, "running, to be cancelled") {
		t.Errorf("the list shows %s", out)
	}
}

// steered is what jobs retry and cancel print with -o json.
type steered struct {
	ID           int64
	State, Error string
}

func TestEachJobIsSteeredThoughAnotherIsRefused(t *testing.T) {
	t.Parallel()
	s := migratedShell(t)
	a, b := s.enqueue("mail")[0], s.enqueue("mail")[0]
	r := s.run("jobs", "cancel", text(a), "4711", text(b))
	if r.code != 1 || r.out != text(a)+" cancelled\n"+text(b)+" cancelled\n" {
		t.Errorf("exit code %d, printed %q", r.code, r.out)
	}
	if !strings.Contains(r.err, "there is no job 4711\n") || !strings.Contains(r.err, "1 of 3 jobs refused") {
		t.Errorf("said %q", r.err)
	}
	r = s.run("jobs", "retry", text(a), "4711", "-o=json")
	var got []steered
	decodeInto(t, r.out, &got)
	want := []steered{{ID: a, State: "available"}, {ID: 4711, Error: "retry: there is no job 4711"}}
	if diff := cmp.Diff(want, got); diff != "" || r.code != 1 {
		t.Errorf("exit code %d, printed (-want +got):\n%s", r.code, diff)
	}
	states := map[int64]understudy.State{}
	for _, job := range s.jobs() {
		states[job.ID] = job.State
	}
	if diff := cmp.Diff(map[int64]understudy.State{a: understudy.StateAvailable, b: understudy.StateCancelled}, states); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
	s.fails(1, []string{"cancel: there is no job 4711"}, "jobs", "cancel", "4711")
}

func TestARetryOntoATakenKeyIsRefused(t *testing.T) {
	t.Parallel()
	s := migratedShell(t)
	id := s.enqueue("mail", "--unique-key=k")[0]
	s.ok("jobs", "cancel", text(id))
	holder := s.enqueue("mail", "--unique-key=k")[0]
	s.fails(1, []string{"unique key of job " + text(id) + " is taken by job " + text(holder)}, "jobs", "retry", text(id))
}

func TestACompletedJobIsRetriedOnlyWithAFlagThatSaysSo(t *testing.T) {
	t.Parallel()
	s := migratedShell(t)
	done, gone := s.enqueue("echo")[0], s.enqueue("other")[0]
	s.ok("jobs", "cancel", text(gone))
	hand := s.hand(s.production, "pod-1", "")
	job := hand.take(t.Context())[0]
	if err := job.SetResult("a\x00b"); err != nil {
		t.Fatal(err)
	}
	hand.record(understudy.Outcome{Job: job, Verdict: understudy.Completed})
	if out := s.ok("jobs", "show", text(done)); !strings.Contains(out, "warning     result contains \\u0000, which Postgres cannot store\n") {
		t.Errorf("printed %s", out)
	}
	before := parsed[store.JobRow](s, "jobs", "show", text(done))
	if before.Warning == "" || before.State != "completed" {
		t.Errorf("as JSON: %+v", before)
	}
	refused := "retry: job " + text(done) + " is completed: what it did would be done again. retry_completed() does that: use --completed"
	s.fails(1, []string{refused}, "jobs", "retry", text(done))
	if diff := cmp.Diff(before, parsed[store.JobRow](s, "jobs", "show", text(done))); diff != "" {
		t.Errorf("a refused retry changed something (-before +after):\n%s", diff)
	}
	r := s.run("jobs", "retry", text(done), text(gone))
	if r.code != 1 || r.out != text(gone)+" available\n" || !strings.Contains(r.err, refused) || !strings.Contains(r.err, "1 of 2 jobs refused") {
		t.Errorf("exit code %d, printed %q, said %q", r.code, r.out, r.err)
	}
	if out := s.ok("jobs", "retry", "--completed", text(done), text(gone)); out != text(done)+" available\n"+text(gone)+" available\n" {
		t.Errorf("printed %q", out)
	}
}

func TestCountsAreByQueueKindAndState(t *testing.T) {
	t.Parallel()
	s := migratedShell(t)
	s.enqueue("mail", "--count=3")
	s.enqueue("mail", "--scheduled-at=1h")
	s.ok("jobs", "cancel", text(s.enqueue("post", "--queue=slow")[0]))
	want := []store.Count{
		{Queue: "default", Kind: "mail", State: understudy.StateAvailable, Count: 3, Due: 3},
		{Queue: "default", Kind: "mail", State: understudy.StateScheduled, Count: 1},
		{Queue: "slow", Kind: "post", State: understudy.StateCancelled, Count: 1},
	}
	if diff := cmp.Diff(want, parsed[[]store.Count](s, "jobs", "counts")); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	lines := strings.Split(strings.TrimSpace(s.ok("jobs", "counts")), "\n")
	if len(lines) != 4 || strings.Join(strings.Fields(lines[1]), " ") != "default mail available 3 3" {
		t.Errorf("printed %q", lines)
	}
}
