package integration_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/store"
)

// hostilities are what handlers of the kind hostile do, and what is kept of it.
var hostilities = map[string]string{
	"huge error":               "x … (20971520 bytes in all)",
	"error of bytes":           "a\uFFFDb\uFFFDc\n\x1b[31md\u2028",
	"empty error":              "the handler's error has no text",
	"error that panics":        "the handler's error, a main.sullen, cannot be read: panic: x",
	"nil error of a type":      "the handler's error, a *understudy.DiscardError, cannot be read: panic: ",
	"panic":                    "panic: a\uFFFDb\uFFFDc\n\ngoroutine ",
	"huge panic":               "x … (20971520 bytes in all)\n\ngoroutine ",
	"panic with what panics":   "PANIC=Error method: x",
	"nil pointer":              "panic: runtime error: invalid memory address or nil pointer dereference\n\ngoroutine ",
	"goroutine that ends":      "the handler called runtime.Goexit",
	"retry after an age":       "retry after 2562047h47m16.854775807s: x",
	"retry before it failed":   "retry after -2562047h47m16.854775808s: ",
	"discard without a reason": "the handler's error, a *understudy.DiscardError, cannot be read: panic: ",
}

// hostileResults are those that a job cannot keep, and what its warning says:
// what is done is done.
var hostileResults = map[string]string{
	"result of 2 MB":          "result has 2097154 bytes, the limit is 1048576",
	"result that is no value": "result cannot be made JSON: json: unsupported value: NaN",
	"result with a NUL":       `result contains \u0000, which Postgres cannot store`,
	"result of half a pair":   `result contains \ud83d, half of a surrogate pair`,
	"result too deep":         "result is nested too deep, the limit is 1000 levels",
	"result too great":        "result contains the number 1e400000, the limit of an exponent is 1000",
	"result that grows long":  "result has more than 1048576 bytes once its numbers are written out",
}

// complaints are what a worker says of such handlers, once an attempt each.
var complaints = []string{"the handler panicked", "a job is completed without its result", "gave a job up"}

func TestWhatAHandlerDoesIsItsOwnJobsTroubleOnly(t *testing.T) {
	t.Parallel()
	th := onOneServer(t)
	th.lease = patientLease
	pl := th.production()
	var jobs []store.NewJob
	kinds := slices.Concat(slices.Collect(maps.Keys(hostilities)), slices.Collect(maps.Keys(hostileResults)))
	for _, how := range kinds {
		jobs = append(jobs, store.NewJob{Kind: "hostile", Args: map[string]any{"How": how, "MS": 20}, MaxAttempts: 2, UniqueKey: how})
		for range 10 {
			jobs = append(jobs, store.NewJob{Kind: "note"}, store.NewJob{Kind: "effect"})
		}
	}
	th.do(pl.enqueue(t.Context(), jobs...)) // before a worker comes, so that they are claimed together
	a := th.start("a", "active", "--queues.default.concurrency=100")
	th.untilSQL(pl, "one waits for an age, and no other", `SELECT count(*) = 1 AND bool_and(state = 'retryable' AND attempt = 1
		AND scheduled_at > now() + interval '290 years') FROM {schema}.jobs WHERE finalized_at IS NULL`)
	hall := newHall(t, th, "note", 0)
	hall.steers("retry", pl.open(t, "true"), understudy.StateAvailable)
	th.untilDone(pl)
	rows, err := pl.jobs.Jobs(t.Context(), store.Filter{Limit: len(jobs)})
	th.do(err)
	var shown []int64
	for i := range rows {
		if row := &rows[i]; row.Kind == "hostile" {
			if warning := hostileResults[row.UniqueKey]; warning != "" {
				th.isWarned(row, warning)
			} else {
				th.isCharged(row, hostilities[row.UniqueKey])
			}
			shown = append(shown, row.ID)
		} else if row.State != understudy.StateCompleted || row.Attempt != 1 {
			t.Errorf("job %d of kind %q is %s after attempt %d: %s", row.ID, row.Kind, row.State, row.Attempt, row.LastError)
		}
	}
	if len(shown) != len(kinds) || len(rows) != len(jobs) {
		t.Errorf("%d of the %d jobs are hostile, want %d of %d", len(shown), len(rows), len(kinds), len(jobs))
	}
	hall.looks(shown)
	a.isWell(complaints...)
	th.check()
}

// isWarned checks that a job is completed, at once, without a result.
func (th *theatre) isWarned(row *store.JobRow, warning string) {
	th.t.Helper()
	if row.State != understudy.StateCompleted || row.Attempt != 1 || row.Result != nil && string(row.Result) != "null" || !strings.HasPrefix(row.Warning, warning) {
		th.t.Errorf("%s: %s after attempt %d with result %.100s, warning %q, want %q", row.UniqueKey, row.State, row.Attempt, row.Result, row.Warning, warning)
	}
}

// isCharged checks that a job failed twice, each time for its reason, and was
// given up.
func (th *theatre) isCharged(row *store.JobRow, reason string) {
	th.t.Helper()
	kept := []string{row.LastError}
	for _, a := range row.Attempts {
		kept = append(kept, a.Error)
	}
	if row.State != understudy.StateDiscarded || row.Attempt != 2 || row.Losses != 0 || len(row.Attempts) != 2 || row.Result != nil && string(row.Result) != "null" {
		th.t.Errorf("%s: %s after attempt %d with %d losses, %d attempts are listed, result %.100s",
			row.UniqueKey, row.State, row.Attempt, row.Losses, len(row.Attempts), row.Result)
	}
	for _, text := range kept {
		if !strings.Contains(text, reason) || len(text) > understudy.MaxErrorBytes || !utf8.ValidString(text) {
			th.t.Errorf("%s: its error, of %d bytes, is %.300q, want %q in it", row.UniqueKey, len(text), text, reason)
		}
	}
}
