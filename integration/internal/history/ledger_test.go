package history

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/understudy-worker/understudy"
)

// opened is a new ledger of process 2 of pod a, and its path.
func opened(t *testing.T) (*Ledger, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ledger")
	l, err := Open(path, "a", 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, path
}

// claimedJob is a job as a worker hands it to its handler.
func claimedJob(id int64) *understudy.Job {
	return &understudy.Job{
		ID: id, Kind: "note", Attempt: 3, Schema: "jobs", AttemptedAt: sec(1).Local(),
		Claim: understudy.Claim{Epoch: "e", Number: 4, Requeues: 5},
	}
}

func begin(t *testing.T, l *Ledger, id int64) *Run {
	t.Helper()
	r, err := l.Begin(claimedJob(id), "production", "production@A")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func runsOf(t *testing.T, path string) []Run {
	t.Helper()
	runs, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	return runs
}

func TestWhatIsNotedIsRead(t *testing.T) {
	t.Parallel()
	l, path := opened(t)
	before := time.Now()
	open, failed := begin(t, l, 1), begin(t, l, 2)
	if err := failed.End(OutcomeFailed, errors.New("no\nluck")); err != nil {
		t.Fatal(err)
	}
	want := []Run{
		{
			Pod: "a", Process: 2, Target: "production", Place: "production@A", Schema: "jobs", JobID: 1, Kind: "note",
			Attempt: 3, Epoch: "e", Claim: 4, Requeues: 5, ClaimedAt: sec(1), StartedAt: open.StartedAt,
		},
		*failed,
	}
	want[1].Outcome, want[1].Error = OutcomeFailed, "no\nluck"
	got := runsOf(t, path)
	ignore := cmp.Options{cmpopts.IgnoreUnexported(Run{}), cmpopts.IgnoreFields(Run{}, "EndedAt")}
	if diff := cmp.Diff(want, got, ignore); diff != "" {
		t.Fatalf("runs (-want +got):\n%s", diff)
	}
	if r := got[1]; r.StartedAt.Before(before.Round(0)) || r.EndedAt.Before(r.StartedAt) || !got[0].EndedAt.IsZero() {
		t.Errorf("runs from %v to %v, and to %v", r.StartedAt, r.EndedAt, got[0].EndedAt)
	}
}

func TestATornLastLineIsPassedOver(t *testing.T) {
	t.Parallel()
	l, path := opened(t)
	for id := range int64(3) {
		begin(t, l, id)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	last := strings.LastIndexByte(string(text[:len(text)-1]), '\n') + 1
	for _, length := range []int{last, last + 1, last + 20, len(text) - 1} {
		if err := os.WriteFile(path, text[:length], 0o644); err != nil {
			t.Fatal(err)
		}
		if got := len(runsOf(t, path)); got != 2 {
			t.Errorf("with %d bytes of its last line the ledger has %d runs, want 2", length-last, got)
		}
	}
}

func TestWhatIsNoLedgerIsAnError(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"{\"run\":1\nx\n":                         "line 1: unexpected end of JSON input",
		"{\"run\":2,\"begin\":{}}\n":              "line 1: \"{\\\"run\\\":2,\\\"begin\\\":{}}\\n\" is neither the beginning of run 1",
		"{\"run\":1,\"end\":{}}\n":                "nor the end of one before",
		"{\"run\":1,\"begin\":{}}\n{\"run\":1}\n": "line 2: ",
	} {
		path := filepath.Join(t.TempDir(), "ledger")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("reading %q: %v, want %s", text, err, want)
		}
	}
}

func TestTheOutcomeIsWhatTheWorkerMakesOfTheError(t *testing.T) {
	t.Parallel()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	failure := errors.New("failed")
	for _, c := range []struct {
		ctx  context.Context
		err  error
		want string
	}{
		{t.Context(), nil, OutcomeCompleted},
		{over, nil, OutcomeCompleted},
		{t.Context(), failure, OutcomeFailed},
		{t.Context(), understudy.RetryAfter(0, failure), OutcomeFailed},
		{over, failure, OutcomeCut},
		{over, understudy.Discard(failure), OutcomeDiscarded},
		{over, understudy.Snooze(0), OutcomeSnoozed},
	} {
		l, path := opened(t)
		if err := begin(t, l, 1).Return(c.ctx, c.err); err != nil {
			t.Fatal(err)
		}
		if got := runsOf(t, path)[0].Outcome; got != c.want {
			t.Errorf("%v is noted as %s, want %s", c.err, got, c.want)
		}
	}
}

// endsAfter is a context that ends once it has been asked.
type endsAfter struct {
	context.Context
	asked bool
}

func (c *endsAfter) Err() error {
	if c.asked {
		return context.Canceled
	}
	c.asked = true
	return nil
}

func TestAContextThatEndsWhileTheEndIsNotedCounts(t *testing.T) {
	t.Parallel()
	l, path := opened(t)
	if err := begin(t, l, 1).Return(&endsAfter{Context: t.Context()}, errors.New("failed")); err != nil {
		t.Fatal(err)
	}
	if got := runsOf(t, path)[0].Outcome; got != OutcomeCut {
		t.Errorf("the run is noted as %s", got)
	}
}

func TestManyHandlersNoteAtATime(t *testing.T) {
	t.Parallel()
	l, path := opened(t)
	var handlers sync.WaitGroup
	for id := range int64(20) {
		handlers.Go(func() {
			for range 50 {
				r, err := l.Begin(claimedJob(id), "production", "production@A")
				if err == nil {
					err = r.End(OutcomeCompleted, nil)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	handlers.Wait()
	byJob := map[int64]int{}
	for _, r := range runsOf(t, path) {
		if byJob[r.JobID]++; r.Outcome != OutcomeCompleted {
			t.Errorf("a run of job %d is %s", r.JobID, r.Outcome)
		}
	}
	for id := range int64(20) {
		if byJob[id] != 50 {
			t.Errorf("job %d has %d runs", id, byJob[id])
		}
	}
}

func TestALedgerIsOneProcesss(t *testing.T) {
	t.Parallel()
	l, path := opened(t)
	if _, err := Open(path, "a", 3); !errors.Is(err, os.ErrExist) {
		t.Errorf("opening it again: %v", err)
	}
	r := begin(t, l, 1)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Begin(claimedJob(2), "production", "production@A"); err == nil {
		t.Error("a closed ledger took a run")
	}
	if err := r.End(OutcomeCompleted, nil); err == nil {
		t.Error("a closed ledger took an end")
	}
}
