package understudy_test

import (
	"math"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-worker/understudy"
)

func TestEveryStateIsParsedByItsName(t *testing.T) {
	t.Parallel()
	for _, state := range understudy.States {
		if got, err := understudy.ParseState(string(state)); got != state || err != nil {
			t.Errorf("%q: got %q, error %v", state, got, err)
		}
	}
}

func TestAnUnknownStateIsAnErrorThatListsThemAll(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "Running", "done"} {
		state, err := understudy.ParseState(name)
		if err == nil || state != "" {
			t.Errorf("%q is taken for %q", name, state)
			continue
		}
		for _, known := range understudy.States {
			if !strings.Contains(err.Error(), string(known)) {
				t.Errorf("%q: error %q does not name %q", name, err, known)
			}
		}
	}
}

func TestTheLastThreeStatesAreFinal(t *testing.T) {
	t.Parallel()
	final := slices.DeleteFunc(slices.Clone(understudy.States), func(s understudy.State) bool { return !s.Final() })
	want := []understudy.State{understudy.StateCompleted, understudy.StateDiscarded, understudy.StateCancelled}
	if diff := cmp.Diff(want, final); diff != "" {
		t.Errorf("final states (-want +got):\n%s", diff)
	}
}

func TestTheLastResultIsKept(t *testing.T) {
	t.Parallel()
	job := &understudy.Job{ID: 7}
	if job.Result() != nil {
		t.Errorf("a new job has the result %s", job.Result())
	}
	for _, value := range []any{1, map[string]string{"a": "b"}} {
		if err := job.SetResult(value); err != nil {
			t.Fatal(err)
		}
	}
	if got := string(job.Result()); got != `{"a":"b"}` {
		t.Errorf("result %s, want the last one", got)
	}
}

func TestAResultThatIsNoJSONIsAnErrorAndKeepsTheLast(t *testing.T) {
	t.Parallel()
	job := &understudy.Job{ID: 7}
	if err := job.SetResult("kept"); err != nil {
		t.Fatal(err)
	}
	for _, value := range []any{math.NaN(), func() {}, make(chan int)} {
		if err := job.SetResult(value); err == nil || !strings.HasPrefix(err.Error(), "result of job 7: ") {
			t.Errorf("%T: error %v, want one that names the job", value, err)
		}
	}
	if got := string(job.Result()); got != `"kept"` {
		t.Errorf("result %s, want the last good one", got)
	}
}

func TestAJobIsMarkedCompletedOnlyByMarking(t *testing.T) {
	t.Parallel()
	job := &understudy.Job{}
	if job.MarkedCompleted() {
		t.Error("a new job is marked completed")
	}
	if job.MarkCompleted(); !job.MarkedCompleted() {
		t.Error("a marked job is not marked completed")
	}
}

func TestTheTextOfAnErrorIsBoundedAndCanBeStored(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"no such mailbox":            "no such mailbox",
		"":                           "",
		"a\x00b\xff\xfec":            "a\uFFFDb\uFFFDc",
		strings.Repeat("é", 20<<20):  "é … (41943040 bytes in all)",
		strings.Repeat("\x00", 8000): "\uFFFD … (8000 bytes in all)",
		strings.Repeat("\xff", 9000): "\uFFFD … (9000 bytes in all)",
		strings.Repeat("e", understudy.MaxErrorBytes):         "eee",
		strings.Repeat("e", understudy.MaxErrorBytes-1) + "é": "e … (8193 bytes in all)",
	} {
		got := understudy.ErrorText(text)
		if !strings.HasSuffix(got, want) || len(got) > understudy.MaxErrorBytes || !utf8.ValidString(got) || strings.Contains(got, "\x00") {
			t.Errorf("%.20q: %d bytes that end in %q, want %q", text, len(got), got[max(0, len(got)-40):], want)
		}
		if again := understudy.ErrorText(got); again != got {
			t.Errorf("%.20q: cut twice it ends in %q", text, again[max(0, len(again)-40):])
		}
	}
}
