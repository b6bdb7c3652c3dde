package app_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/store"
)

func TestEnqueuePrintsTheIDAndNothingElse(t *testing.T) {
	t.Parallel()
	s := migratedShell(t)
	r := s.run("enqueue", "mail")
	id, err := strconv.ParseInt(strings.TrimSuffix(r.out, "\n"), 10, 64)
	if r.code != 0 || err != nil || r.err != "" {
		t.Fatalf("exit code %d, printed %q and %q", r.code, r.out, r.err)
	}
	want := store.JobRow{
		ID: id, Kind: "mail", Queue: "default", State: understudy.StateAvailable, Priority: 1, MaxAttempts: 25,
		Args: []byte("{}"), Metadata: []byte("{}"), Attempts: []store.Attempt{}, Result: []byte("null"),
	}
	got := s.jobs()[0]
	want.CreatedAt, want.ScheduledAt = got.CreatedAt, got.ScheduledAt
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("job (-want +got):\n%s", diff)
	}
}

func TestEnqueueTakesEveryPropertyOfAJob(t *testing.T) {
	t.Parallel()
	s := migratedShell(t)
	s.ok("enqueue", "mail", `{"big": 12345678901234567890, "text": "<ä>"}`, "--queue=slow", "--priority=3",
		"--max-attempts=7", "--unique-key=k", "--scheduled-at=2030-01-31T12:00:00Z")
	var row store.JobRow
	decodeInto(t, s.ok("jobs", "show", strconv.FormatInt(s.jobs()[0].ID, 10), "-o=json"), &row)
	got := []any{row.Queue, row.Priority, row.MaxAttempts, row.UniqueKey, row.ScheduledAt, row.State}
	want := []any{"slow", 3, 7, "k", time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC), understudy.StateScheduled}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("job (-want +got):\n%s", diff)
	}
	if args := string(row.Args); !strings.Contains(args, "12345678901234567890") || !strings.Contains(args, `"<ä>"`) {
		t.Errorf("arguments became %s", args)
	}
}

func TestADelayIsCountedByTheDatabasesClock(t *testing.T) {
	t.Parallel()
	s := migratedShell(t)
	for _, delay := range []string{"90m", "+90m"} {
		id := s.enqueue("mail", "--scheduled-at="+delay)[0]
		for _, job := range s.jobs() {
			if wait := job.ScheduledAt.Sub(job.CreatedAt); job.ID == id && (wait > 90*time.Minute || wait < 89*time.Minute) {
				t.Errorf("%s: due %s after it was enqueued", delay, wait)
			}
		}
	}
}

func TestEnqueueRefusesWhatCannotBeMeant(t *testing.T) {
	t.Parallel()
	s := migratedShell(t)
	long := strings.Repeat("k", 129)
	for _, test := range []struct {
		want string
		args []string
	}{
		{"ARGS is not JSON", []string{"mail", "{to: x}"}},
		{"ARGS is not JSON", []string{"mail", ""}},
		{"ARGS is not JSON", []string{"mail", "{}{}"}},
		{"args is not valid UTF-8", []string{"mail", "\"\xff\""}},
		{"args has 1048583 bytes, the limit is 1048576", []string{"mail", `{"s":"` + strings.Repeat("x", 1<<20-1) + `"}`}},
		{"KIND has 0 bytes", []string{""}},
		{"KIND has 129 bytes: use 1 to 128", []string{long}},
		{"--queue has 0 bytes", []string{"mail", "--queue="}},
		{"--queue has 129 bytes", []string{"mail", "--queue=" + long}},
		{"unique_key has 513 bytes, the limit is 512", []string{"mail", "--unique-key=" + strings.Repeat("k", 513)}},
		{"--unique-key is empty", []string{"mail", "--unique-key="}},
		{"--unique-key goes with one job", []string{"mail", "--unique-key=k", "--count=2"}},
		{"--unique-key goes with one job", []string{"mail", "-", "--unique-key=k"}},
		{"--count does not go with -", []string{"mail", "-", "--count=2"}},
		{"--count 0: use 1 to 1000000", []string{"mail", "--count=0"}},
		{"--count 1000001", []string{"mail", "--count=1000001"}},
		{"--priority 0: use 1 to 4", []string{"mail", "--priority=0"}},
		{"--priority 5: use 1 to 4", []string{"mail", "--priority=5"}},
		{"--max-attempts 0: use 1 to 32767", []string{"mail", "--max-attempts=0"}},
		{"--max-attempts", []string{"mail", "--max-attempts=32768"}},
		{"use a time such as", []string{"mail", "--scheduled-at=tomorrow"}},
		{"use a time such as", []string{"mail", "--scheduled-at=-10m"}},
		{"use a time such as", []string{"mail", "--scheduled-at="}},
	} {
		s.fails(2, []string{test.want}, append([]string{"enqueue"}, test.args...)...)
	}
	if got := s.jobs(); len(got) != 0 {
		t.Errorf("%d jobs were enqueued", len(got))
	}
}

func TestALongValueIsNotRepeatedWhole(t *testing.T) {
	t.Parallel()
	s := migratedShell(t)
	long := strings.Repeat("é", 50_000)
	for want, args := range map[string][]string{
		`for "--scheduled-at" flag: use a time such as`: {"enqueue", "mail", "--scheduled-at=" + long},
		`for "--priority" flag: strconv.ParseInt: `:     {"enqueue", "mail", "--priority=" + long},
		"is not the id of a job: use a number":          {"jobs", "show", long},
		`targets.production.pooler`:                     {"jobs", "list", "--targets.production.pooler=\"" + long},
	} {
		s.fails(2, []string{want}, args...)
		if r := s.run(args...); len(r.err) > 2100 || !utf8.ValidString(r.err) {
			t.Errorf("%s: %d bytes: %.200q", args[0], len(r.err), r.err)
		}
	}
}

func TestEnqueuePrintsTheIDOfTheJobThatHasTheUniqueKey(t *testing.T) {
	t.Parallel()
	s := migratedShell(t)
	first, second := s.enqueue("mail", "--unique-key=k"), s.enqueue("mail", "--unique-key=k")
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("ids (-first +second):\n%s", diff)
	}
	if other := s.enqueue("post", "--unique-key=k"); other[0] == first[0] {
		t.Error("another kind shares the key")
	}
}

func TestEnqueueCountMakesThatManyJobsAndSaysSoBesideTheIDs(t *testing.T) {
	t.Parallel()
	s := migratedShell(t)
	r := s.run("enqueue", "mail", `{"n": 1}`, "--count=12")
	if ids := strings.Fields(r.out); r.code != 0 || len(ids) != 12 {
		t.Errorf("exit code %d, printed %q", r.code, r.out)
	}
	if !strings.Contains(r.err, `enqueued 12 jobs of kind "mail" in schema "`+s.production+`"`) {
		t.Errorf("said %q", r.err)
	}
	got := s.jobs("--kind=mail")
	for _, job := range got {
		if args := strings.Join(strings.Fields(string(job.Args)), ""); args != `{"n":1}` {
			t.Errorf("job %d has the arguments %s", job.ID, args)
		}
	}
	if len(got) != 12 {
		t.Errorf("%d jobs were enqueued, want 12", len(got))
	}
}

func TestEachLineOfTheInputIsAJobInItsOrder(t *testing.T) {
	t.Parallel()
	s := migratedShell(t)
	s.in = "{\"n\": 1}\n\n  {\"n\": 2}\r\n\t\n{\"n\": 3}" // the last without a newline
	ids := s.enqueue("mail", "-", "--queue=slow")
	var got []string
	for _, id := range ids {
		var row store.JobRow
		decodeInto(t, s.ok("jobs", "show", strconv.FormatInt(id, 10), "-o=json"), &row)
		got = append(got, row.Queue+strings.Join(strings.Fields(string(row.Args)), ""))
	}
	if diff := cmp.Diff([]string{`slow{"n":1}`, `slow{"n":2}`, `slow{"n":3}`}, got); diff != "" {
		t.Errorf("jobs (-want +got):\n%s", diff)
	}
}

func TestAnEmptyInputEnqueuesNothing(t *testing.T) {
	t.Parallel()
	s := migratedShell(t)
	for _, s.in = range []string{"", "\n \n"} {
		if ids := s.enqueue("mail", "-"); ids == nil || len(ids) != 0 {
			t.Errorf("%q: ids %#v, want an empty list", s.in, ids)
		}
	}
}

func TestABadLineIsNamedAndNoLineIsEnqueued(t *testing.T) {
	t.Parallel()
	s := migratedShell(t)
	good := "{}\n\n{}\n" // the bad one is line 4
	for want, line := range map[string]string{
		"line 4: it is not JSON":                  "{to: x}",
		"line 4: not an object":                   "[{}, {}]",
		"line 4: enqueue: args has 1048583 bytes": `{"s":"` + strings.Repeat("x", 1<<20-1) + `"}`,
		"line 4 has more than":                    `{"s":"` + strings.Repeat(" ", 3<<20) + `"}`,
		"line 4: enqueue: args is not valid":      "{\"s\": \"\xff\"}",
		"line 4: enqueue: args contains":          `{"s": "\u0000"}`,                                  // JSON, but not to Postgres
		"line 4: enqueue: args has 1200007 ":      `{"a":[1` + strings.Repeat(",1", 400_000-1) + `]}`, // as Postgres writes it
	} {
		s.in = good + line + "\n{}\n"
		s.fails(2, []string{want, "nothing was enqueued"}, "enqueue", "mail", "-")
	}
	if got := s.jobs(); len(got) != 0 {
		t.Errorf("%d jobs were enqueued", len(got))
	}
}

func TestABadLineFarDownTakesTheBatchesBeforeItBack(t *testing.T) {
	t.Parallel()
	s := migratedShell(t)
	s.in = strings.Repeat("{}\n", 10_200) + `{"s": "\u0000"}` + strings.Repeat("\n{}", 50)
	s.fails(2, []string{"line 10201: "}, "enqueue", "mail", "-")
	if got := s.jobs(); len(got) != 0 {
		t.Errorf("%d jobs or more were enqueued", len(got))
	}
	s.in = strings.Repeat("{}\n", 10_300)
	if ids := s.enqueue("mail", "-"); len(ids) != 10_300 {
		t.Errorf("%d jobs were enqueued, want 10300", len(ids))
	}
}

func TestAnInputThatBreaksOffEnqueuesNothing(t *testing.T) {
	t.Parallel()
	s := migratedShell(t)
	in := io.MultiReader(strings.NewReader("{}\n{}"), iotest.ErrReader(errors.New("the disk is gone")))
	r := s.runWith(t.Context(), in, "enqueue", "mail", "-")
	if want := "understudy: read line 2: the disk is gone; nothing was enqueued\n"; r.code != 1 || r.err != want {
		t.Errorf("exit code %d with %q, want %q", r.code, r.err, want)
	}
	if got := s.jobs(); len(got) != 0 {
		t.Errorf("%d jobs were enqueued", len(got))
	}
}

func TestAnInterruptEndsAReadThatWaitsAndNothingIsEnqueued(t *testing.T) {
	t.Parallel()
	s := migratedShell(t)
	in, terminal := io.Pipe()
	t.Cleanup(func() { _ = terminal.Close() })
	ctx, interrupt := context.WithCancelCause(t.Context())
	go func() { // the second write returns when the command reads on
		_, _ = fmt.Fprintln(terminal, "{}")
		_, _ = fmt.Fprint(terminal, "{")
		interrupt(errors.New("interrupted by a test"))
	}()
	r := s.runWith(ctx, in, "enqueue", "mail", "-")
	if r.code != 1 || !strings.Contains(r.err, "interrupted by a test") {
		t.Errorf("exit code %d with %q", r.code, r.err)
	}
	if got := s.jobs(); len(got) != 0 {
		t.Errorf("%d jobs were enqueued", len(got))
	}
}
