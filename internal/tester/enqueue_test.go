package tester_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-worker/understudy/internal/tester"
	"github.com/understudy-worker/understudy/store"
)

// receipt is what a program is answered.
type receipt struct {
	Side        string
	Count       int
	First, Last int64
}

func TestAProgramEnqueuesJobsIntoASide(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.migrate(b.preview)
	got := b.enqueue(url.Values{"side": {"preview"}, "kind": {"sleep"}, "count": {"3"}, "args": {`{"seconds": 0}`}})
	var r receipt
	if err := json.Unmarshal([]byte(got.body), &r); err != nil || got.code != http.StatusCreated {
		t.Fatalf("%v in %d %s", err, got.code, got.body)
	}
	if diff := cmp.Diff(receipt{"preview", 3, 1, 3}, r); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	if production, preview := b.total(b.production), b.total(b.preview); production != 0 || preview != 3 {
		t.Errorf("%d jobs in production and %d in preview", production, preview)
	}
	b.enqueue(url.Values{"side": {"production"}, "kind": {"echo"}})
	jobs, err := b.jobs.Jobs(t.Context(), store.Filter{})
	if err != nil || len(jobs) != 1 || jobs[0].Kind != "echo" || string(jobs[0].Args) != "{}" || jobs[0].Queue != "default" {
		t.Errorf("one echo job was asked for: %+v, error %v", jobs, err)
	}
}

func TestABrowserIsLedBackToThePageWhichSaysWhatWasEnqueued(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	got := b.do("POST", "/enqueue", url.Values{"side": {"production"}, "kind": {"echo"}, "count": {"1200"}}, "Accept", "text/html")
	if got.code != http.StatusSeeOther {
		t.Fatalf("%d %s", got.code, got.body)
	}
	page := b.do("GET", got.header.Get("Location"), nil, "Accept", "text/html")
	b.contains("the page", page.body, "Enqueued 1,200 in production: jobs 1 to 1200.")
	forged := b.do("GET", "/?side=%3Cb%3E&count=1&first=1&last=1", nil, "Accept", "text/html")
	if strings.Contains(forged.body, "Enqueued 1") {
		t.Error("the page says that jobs were enqueued into a side that does not exist")
	}
}

func TestJobsGoIntoTheQueueOfTheOptions(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(b *bench) { b.options.Queue = "visitors" })
	b.enqueue(url.Values{"side": {"production"}, "kind": {"echo"}})
	if jobs, err := b.jobs.Jobs(t.Context(), store.Filter{Queue: "visitors"}); err != nil || len(jobs) != 1 {
		t.Errorf("jobs %v, error %v", jobs, err)
	}
}

func TestBadInputIsRefusedAndNothingIsEnqueued(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	good := url.Values{"side": {"production"}, "kind": {"echo"}, "count": {"1"}, "args": {"{}"}}
	for _, c := range []struct{ field, value, want string }{
		{"side", "", `side "" is unknown: use production or preview`},
		{"side", "both", `side "both" is unknown`},
		{"kind", "", "kind is empty: name the handler"},
		{"kind", "  ", "kind is empty: name the handler"},
		{"kind", strings.Repeat("k", 129), "kind has 129 bytes, the limit is 128"},
		{"kind", "a\x00b", "NUL"},
		{"count", "0", `count "0": use a whole number from 1 to 10000`},
		{"count", "10001", "use a whole number from 1 to 10000"},
		{"count", "many", "use a whole number from 1 to 10000"},
		{"count", "99999999999999999999", "use a whole number from 1 to 10000"},
		{"args", "[1]", "args are not a JSON object"},
		{"args", "null", "args are not a JSON object"},
		{"args", "{", "args are not a JSON object"},
		{"args", "{} {}", "args are not a JSON object"},
		{"args", `{"a": "` + strings.Repeat("x", 1<<20) + `"}`, "args"},
	} {
		form := url.Values{}
		for field, value := range good {
			form[field] = value
		}
		form.Set(c.field, c.value)
		got := b.enqueue(form)
		if got.code != http.StatusBadRequest || !strings.Contains(got.body, c.want) || strings.Count(got.body, "\n") != 1 {
			t.Errorf("%s %.40q: %d %s, want 400 and one line with %q", c.field, c.value, got.code, got.body, c.want)
		}
	}
	large := url.Values{"side": {"production"}, "kind": {"echo"}, "count": {"10000"}, "args": {`{"a": "` + strings.Repeat("x", 10_000) + `"}`}}
	if got := b.enqueue(large); got.code != http.StatusBadRequest || !strings.Contains(got.body, "at most 16777216 go into one request") {
		t.Errorf("a hundred megabytes: %d %s", got.code, got.body)
	}
	page := b.do("POST", "/enqueue", url.Values{"side": {"production"}}, "Accept", "text/html")
	if page.code != http.StatusBadRequest {
		t.Errorf("a browser got %d", page.code)
	}
	b.contains("the page for a browser", page.body, "kind is empty", "<html")
	if count := b.total(b.production); count != 0 {
		t.Errorf("%d jobs were enqueued", count)
	}
}

func TestAPageOfAnotherSiteEnqueuesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	form := url.Values{"side": {"production"}, "kind": {"echo"}}
	for _, headers := range [][]string{
		{"Sec-Fetch-Site", "cross-site"},
		{"Sec-Fetch-Site", "same-site"},
		{"Origin", "https://evil.example"},
	} {
		if got := b.do("POST", "/enqueue", form, headers...); got.code != http.StatusForbidden {
			t.Errorf("%v: got %d", headers, got.code)
		}
	}
	if count := b.total(b.production); count != 0 {
		t.Errorf("%d jobs were enqueued", count)
	}
}

func TestReadOnlyShowsAndEnqueuesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(b *bench) { b.options.ReadOnly = true })
	got := b.enqueue(url.Values{"side": {"production"}, "kind": {"echo"}})
	if got.code != http.StatusForbidden || !strings.Contains(got.body, "http.read_only is set") {
		t.Errorf("%d %s", got.code, got.body)
	}
	if count := b.total(b.production); count != 0 {
		t.Errorf("%d jobs were enqueued", count)
	}
	page := b.page()
	b.contains("the page", page, `id="closed-preview">Nothing can be enqueued here`)
	// A button that is disabled cannot be reached, nor why it is.
	buttons, refused := strings.Count(page, "<button"), strings.Count(page, `aria-disabled="true" aria-describedby="closed-`)
	if buttons != 4 || refused != buttons {
		t.Errorf("%d buttons, of which %d say why they do nothing", buttons, refused)
	}
}

func TestTheTokenGuardsAllButHealthAndVersion(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(b *bench) {
		b.options.Token = func() (string, error) { return "secret", nil }
	})
	for _, path := range []string{"/", "/events", "/api/status"} {
		if got := b.do("GET", path, nil); got.code != http.StatusUnauthorized {
			t.Errorf("GET %s: %d", path, got.code)
		}
	}
	if got := b.enqueue(url.Values{"side": {"production"}, "kind": {"echo"}}); got.code != http.StatusUnauthorized || b.total(b.production) != 0 {
		t.Errorf("POST /enqueue: %d", got.code)
	}
	if got := b.do("GET", "/api/status", nil, "Authorization", "Bearer secret"); got.code != http.StatusOK {
		t.Errorf("with the token: %d", got.code)
	}
	if got := b.do("GET", "/version", nil); got.code != http.StatusOK || got.body != "7.1\n" {
		t.Errorf("version: %d %q", got.code, got.body)
	}
	if got := b.do("GET", "/health/live", nil); got.code != http.StatusOK {
		t.Errorf("health: %d", got.code)
	}
}

func TestEnqueueingWhereNothingIsSaysSo(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(b *bench) {
		b.options.Sides[0].Find = func(context.Context) (tester.Place, error) {
			return tester.Place{}, &tester.Trouble{What: "No version is there.", Do: "Make one."}
		}
	})
	for side, want := range map[string]string{
		"production": "Nothing was enqueued. No version is there. Make one.\n",
		"preview":    "Nothing was enqueued. Schema " + b.preview + " is not there, or is not migrated. Migrate preview.\n",
	} {
		if got := b.enqueue(url.Values{"side": {side}, "kind": {"echo"}}); got.code != http.StatusServiceUnavailable || got.body != want {
			t.Errorf("%s: %d %q, want 503 %q", side, got.code, got.body, want)
		}
	}
}
