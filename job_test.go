package understudy_test

import (
	"encoding/json"
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

// sullen is a value that panics when it is made JSON.
type sullen struct{}

func (sullen) MarshalJSON() ([]byte, error) { panic("no") }

func TestAResultThatCannotBeKeptIsAWarningAndNoError(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		value any
		says  string
	}{
		"no number":       {math.NaN(), "result cannot be made JSON: json: unsupported value: NaN"},
		"a function":      {func() {}, "result cannot be made JSON: json: unsupported type: func()"},
		"no JSON":         {json.RawMessage("{"), "result cannot be made JSON: "},
		"deeper than Go":  {json.RawMessage(strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000)), "result cannot be made JSON: "},
		"not UTF-8":       {json.RawMessage("\"\xff\""), "result is not valid UTF-8"},
		"one that panics": {sullen{}, "result cannot be made JSON: panic: no"},
		"a byte too long": {strings.Repeat("x", understudy.MaxResultBytes-1), "result has 1048577 bytes, the limit is 1048576"},
	} {
		job := &understudy.Job{ID: 7}
		for _, value := range []any{"before", c.value} {
			if err := job.SetResult(value); err != nil {
				t.Errorf("%s: error %v", name, err)
			}
		}
		if job.Result() != nil || !strings.HasPrefix(job.Warning(), c.says) || len(job.Warning()) > understudy.MaxErrorBytes {
			t.Errorf("%s: result %.40s, warning %.200q, want %q", name, job.Result(), job.Warning(), c.says)
		}
		if err := job.SetResult("after"); err != nil || string(job.Result()) != `"after"` || job.Warning() != "" {
			t.Errorf("%s: the next result is %s, warning %q, error %v", name, job.Result(), job.Warning(), err)
		}
	}
}

func TestAResultIsAsLongAsItIs(t *testing.T) {
	t.Parallel()
	job := &understudy.Job{ID: 7}
	value := strings.Repeat("<", understudy.MaxResultBytes-2)
	if err := job.SetResult(value); err != nil || len(job.Result()) != understudy.MaxResultBytes || job.Warning() != "" {
		t.Errorf("a result of %d bytes became one of %d, warning %q, error %v", len(value)+2, len(job.Result()), job.Warning(), err)
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
