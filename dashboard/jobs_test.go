package dashboard_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/dashboard"
	"github.com/understudy-worker/understudy/store"
)

// shelf holds jobs without a database.
type shelf struct {
	dashboard.Jobs
	found  store.Found
	row    store.JobRow
	state  understudy.State
	err    error
	hangs  bool
	asked  []store.Search
	change []string
}

func (j *shelf) Place() understudy.Place { return serving.Serving }

// outcome is the error that every call ends with.
func (j *shelf) outcome(ctx context.Context) error {
	if j.hangs {
		<-ctx.Done()
		return fmt.Errorf("connect to db.internal: %w", ctx.Err())
	}
	return j.err
}

func (j *shelf) Search(ctx context.Context, search store.Search) (store.Found, error) {
	j.asked = append(j.asked, search)
	return j.found, j.outcome(ctx)
}

func (j *shelf) Job(ctx context.Context, _ int64) (store.JobRow, error) {
	return j.row, j.outcome(ctx)
}

func (j *shelf) Retry(ctx context.Context, id int64) (understudy.State, error) {
	j.change = append(j.change, fmt.Sprintf("retry %d", id))
	return j.state, j.outcome(ctx)
}

func (j *shelf) RetryCompleted(ctx context.Context, id int64) (understudy.State, error) {
	j.change = append(j.change, fmt.Sprintf("retry_completed %d", id))
	return j.state, j.outcome(ctx)
}

func (j *shelf) Cancel(ctx context.Context, id int64) (understudy.State, error) {
	j.change = append(j.change, fmt.Sprintf("cancel %d", id))
	return j.state, j.outcome(ctx)
}

// options are those of a worker that serves these jobs.
func (j *shelf) options() dashboard.Options {
	o := options()
	o.Jobs = func() dashboard.Jobs { return j }
	return o
}

// browser is what a browser says about itself, by turns.
var browser = []string{"Accept", "text/html,application/xhtml+xml", "Sec-Fetch-Site", "same-origin"}

// look asks for a page as a browser does.
func look(h http.Handler, path string) answer { return ask(h, "GET", path, browser...) }

// post sends a form.
func post(h http.Handler, path string, form url.Values, headers ...string) answer {
	r := httptest.NewRequest("POST", path, strings.NewReader(form.Encode()))
	r.Host = "worker:8080"
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return answer{w.Code, w.Body.String(), w.Header()}
}

// mustBe checks the code of a page and what stands on it.
func (a answer) mustBe(t *testing.T, what string, code int, parts ...string) {
	t.Helper()
	if kind := a.header.Get("Content-Type"); a.code != code || kind != "text/html; charset=utf-8" {
		t.Errorf("%s: got %d, %s; want %d and a page", what, a.code, kind, code)
	}
	mustContain(t, what, a.body, parts...)
}

func at(second int) time.Time { return time.Date(2026, 1, 2, 3, 4, second, 0, time.UTC) }

func ptr[T any](v T) *T { return &v }

func TestJobsAreListedWithWhatTellsThemApart(t *testing.T) {
	t.Parallel()
	jobs := &shelf{found: store.Found{Next: 17, Jobs: []store.Summary{
		{ID: 19, Kind: "mail", Queue: "default", State: understudy.StateScheduled, MaxAttempts: 25, ScheduledAt: at(1)},
		{ID: 18, Kind: "mail", Queue: "slow", State: understudy.StateRunning, Attempt: 2, MaxAttempts: 3, ScheduledAt: at(1), AttemptedAt: ptr(at(2)),
			WorkerVersion: "1.4.0", WorkerRole: "active", CancelRequested: true},
		{ID: 17, Kind: "mail", Queue: "default", State: understudy.StateDiscarded, Attempt: 3, MaxAttempts: 3, ScheduledAt: at(1), AttemptedAt: ptr(at(2)),
			FinalizedAt: ptr(at(3)), Args: `{"to": "ada"}`, LastError: "mailbox full"},
	}}}
	got := look(handler(t, jobs.options()), "/jobs?state=&kind=mail&queue=&text=a%25&more=x")
	got.mustBe(t, "the list", 200, `<a href="/jobs/19">19</a>`, `<span class="sign scheduled">scheduled</span>`, `due <time class="ago" datetime="2026-01-02T03:04:01.000Z"`,
		`started <time class="ago" datetime="2026-01-02T03:04:02.000Z"`, "1.4.0", `<span class="tag blue">active</span>`, "to be cancelled", ">2/3<",
		`finished <time class="ago" datetime="2026-01-02T03:04:03.000Z"`, "{&#34;to&#34;: &#34;ada&#34;}", "mailbox full",
		`name="kind" value="mail"`, `name="text" type="search" value="a%"`, `href="/jobs?before=17&amp;kind=mail&amp;text=a%25" rel="next">Older jobs`)
	mustLack(t, "the first page", got.body, "Newest</a>", "not been looked at")
	if diff := cmp.Diff([]store.Search{{Kind: "mail", Text: "a%"}}, jobs.asked); diff != "" {
		t.Errorf("searches (-want +got):\n%s", diff)
	}
}

func TestALaterPageLeadsBackAndASearchThatStoppedSaysWhere(t *testing.T) {
	t.Parallel()
	jobs := &shelf{found: store.Found{Next: 1234, Early: true}}
	got := look(handler(t, jobs.options()), "/jobs?state=discarded&before=5000")
	got.mustBe(t, "the page", 200, "None found yet.", "Jobs below 1234 have not been looked at", `href="/jobs?before=1234&amp;state=discarded" rel="next"`,
		`href="/jobs?state=discarded">Newest</a>`, "<option selected>discarded</option>")
	mustLack(t, "the page", got.body, "Older jobs")
	if diff := cmp.Diff([]store.Search{{State: understudy.StateDiscarded, Before: 5000}}, jobs.asked); diff != "" {
		t.Errorf("searches (-want +got):\n%s", diff)
	}
}

func TestAnEmptyListSaysWhatToDo(t *testing.T) {
	t.Parallel()
	h := handler(t, (&shelf{}).options())
	look(h, "/jobs").mustBe(t, "no jobs", 200, "No jobs yet", "SELECT production.enqueue(")
	look(h, "/jobs?kind=x").mustBe(t, "no match", 200, "No job matches", "take a filter away")
	look(h, "/jobs?before=7").mustBe(t, "no more", 200, "No older jobs.")
}

func TestABadSearchIsExplainedOnThePage(t *testing.T) {
	t.Parallel()
	jobs := &shelf{}
	h := handler(t, jobs.options())
	for query, says := range map[string]string{
		"before=abc":                         "before is &#34;abc&#34;: use the number of a job",
		"before=-1":                          "before is &#34;-1&#34;: use the number of a job",
		"before=0":                           "before is &#34;0&#34;",
		"before=99999999999999999999":        "use the number of a job",
		"state=nonsense&kind=mail":           "unknown job state &#34;nonsense&#34;: use one of scheduled, available",
		"kind=%zz":                           "the address cannot be read",
		"state=" + strings.Repeat("x", 5000): "unknown job state",
	} {
		look(h, "/jobs?"+query).mustBe(t, query, 400, says, `role="alert"`, `name="kind"`)
	}
	if len(jobs.asked) != 0 {
		t.Errorf("searched for %+v", jobs.asked)
	}
	jobs.err = &store.Refusal{Code: "22023", Message: "search: text has 201 bytes, the limit is 200"}
	look(h, "/jobs?text="+strings.Repeat("x", 201)).mustBe(t, "a long text", 400, jobs.err.Error(), strings.Repeat("x", 201))
}

// markup is what must never stand on a page as it is.
const markup = `</script><img src=x onerror=alert(1)>'"`

func TestNothingOfAJobIsMarkup(t *testing.T) {
	t.Parallel()
	jobs := &shelf{
		found: store.Found{Jobs: []store.Summary{{ID: 1, Kind: markup, Queue: markup, State: "running", Args: markup, LastError: markup, WorkerVersion: markup, WorkerRole: markup}}},
		row: store.JobRow{ID: 1, Kind: markup, Queue: markup, State: "running", Args: []byte(`"` + markup), Metadata: []byte(markup), Result: []byte(markup),
			UniqueKey: markup, LastError: markup, WorkerID: markup, WorkerVersion: markup, WorkerRole: markup,
			Attempts: []store.Attempt{{Worker: markup, Version: markup, Role: markup, Error: markup + "!"}}},
	}
	h := handler(t, jobs.options())
	for _, path := range []string{"/jobs?kind=" + url.QueryEscape(markup) + "&text=" + url.QueryEscape(markup), "/jobs/1", "/jobs?state=" + url.QueryEscape(markup), "/jobs/" + url.PathEscape(markup)} {
		got := look(h, path)
		mustLack(t, path, got.body, "<img", "</script><", `'"`)
		mustContain(t, path, got.body, "&lt;img")
	}
}

func TestAJobIsShownWhole(t *testing.T) {
	t.Parallel()
	row := store.JobRow{
		ID: 17, Kind: "mail", Queue: "slow", State: understudy.StateCompleted, Priority: 2, Attempt: 2, MaxAttempts: 3, Losses: 1, UniqueKey: "january",
		Args: []byte(`{"to": "ada"}`), Metadata: []byte(`{"request": "r-17"}`), Result: []byte(`{"message": "m-8"}`), LastError: "not listed",
		CreatedAt: at(0), ScheduledAt: at(1), AttemptedAt: ptr(at(2)), FinalizedAt: ptr(at(3)),
		WorkerID: "0b5f0f6e-0000", WorkerVersion: "1.4.0", WorkerRole: "preview",
		Attempts: []store.Attempt{{Number: 1, Worker: "aaaaaaaa-bbbb", Version: "1.3.0", Role: "stable", StartedAt: ptr(at(1)), FinishedAt: ptr(at(3)), Error: "mailbox full"},
			{Number: 2, Worker: "0b5f0f6e-0000", Version: "1.4.0", Role: "preview", StartedAt: ptr(at(2)), FinishedAt: ptr(at(3))}},
	}
	got := look(handler(t, (&shelf{row: row}).options()), "/jobs/17")
	got.mustBe(t, "the job", 200, "Job 17 <span class=\"sign completed\">completed</span>", "slow, priority 2", "2 of 3; workers lost while they ran it: 1", "january",
		"{\n  &#34;to&#34;: &#34;ada&#34;\n}", "{\n  &#34;request&#34;: &#34;r-17&#34;\n}", "{\n  &#34;message&#34;: &#34;m-8&#34;\n}",
		"0b5f0f6e-0000", "1.4.0", `<span class="tag green">preview</span>`, `<span class="tag blue">stable</span>`, "<code>aaaaaaaa</code>", ">2.0 s<", "mailbox full", "not listed",
		`datetime="2026-01-02T03:04:00.000Z"`, "target &#34;production&#34;, schema &#34;production&#34;", `href="/api/jobs/17"`)
	mustLack(t, "a finished job", got.body, "data-refresh", "popovertarget=\"cancel\"")
}

func TestAPageFollowsAJobThatIsNotFinished(t *testing.T) {
	t.Parallel()
	for _, state := range understudy.States {
		row := store.JobRow{ID: 17, Kind: "mail", State: state, Attempt: 1, WorkerID: "0b5f0f6e-0000", AttemptedAt: ptr(at(2))}
		got := look(handler(t, (&shelf{row: row}).options()), "/jobs/17")
		if follows := strings.Contains(got.body, `data-refresh="2000"`); follows == state.Final() {
			t.Errorf("%s: the page is read anew: %t", state, follows)
		}
		if lists := strings.Contains(got.body, `<span class="sign running">running</span></td>`); lists != (state == understudy.StateRunning) {
			t.Errorf("%s: the running attempt is listed: %t", state, lists)
		}
	}
}

func TestAJobIsChangedOnlyAfterAConfirmationThatSaysWhatHappens(t *testing.T) {
	t.Parallel()
	for state, c := range map[understudy.State]struct{ retry, cancel string }{
		understudy.StateScheduled: {"runs now, before it is due, in <strong>production</strong>", "is cancelled now"},
		understudy.StateAvailable: {"", "is cancelled now"},
		understudy.StateRunning:   {"", "is running: its handler is told to stop"},
		understudy.StateRetryable: {"runs now, before it is due", "is cancelled now"},
		understudy.StateDiscarded: {"runs again, now, in <strong>production</strong>.</p>", ""},
		understudy.StateCancelled: {"runs again, now", ""},
	} {
		jobs := &shelf{row: store.JobRow{ID: 17, Kind: "mail", State: state}}
		page := look(handler(t, jobs.options()), "/jobs/17").body
		for verb, says := range map[string]string{"retry": c.retry, "cancel": c.cancel} {
			parts := []string{`<button popovertarget="` + verb + `">`, `<div popover id="` + verb + `"`, `action="/jobs/17/` + verb + `"`}
			if says == "" {
				mustLack(t, string(state), page, parts...)
			} else {
				mustContain(t, string(state), page, append(parts, says)...)
			}
		}
		o := jobs.options()
		o.ReadOnly = true
		mustLack(t, "read-only", look(handler(t, o), "/jobs/17").body, "popover", `method="post"`)
	}
	asked := &shelf{row: store.JobRow{ID: 17, State: understudy.StateRunning, CancelRequested: true}}
	page := look(handler(t, asked.options()), "/jobs/17").body
	mustContain(t, "a job that is to be cancelled", page, "Its cancellation is asked for")
	mustLack(t, "a job that is to be cancelled", page, "popover")
}

func TestACompletedJobRunsAgainOnlyAfterTwoConfirmations(t *testing.T) {
	t.Parallel()
	jobs := &shelf{row: store.JobRow{ID: 17, Kind: "mail", State: understudy.StateCompleted}}
	page := look(handler(t, jobs.options()), "/jobs/17").body
	mustContain(t, "the page", page, `<button popovertarget="retry">`, `<div popover id="retry"`, "If it runs again in <strong>production</strong>, what it did is done once more",
		`popovertarget="retry-completed">Do it again…</button>`, `<div popover id="retry-completed"`, "a second time", `action="/jobs/17/retry_completed"`)
	mustLack(t, "the page", page, `action="/jobs/17/retry"`, `id="cancel"`)
	o := jobs.options()
	o.ReadOnly = true
	h := handler(t, o)
	mustLack(t, "read-only", look(h, "/jobs/17").body, "popover", `method="post"`)
	if got := post(h, "/jobs/17/retry_completed", nil); got.code != 403 || len(jobs.change) != 0 {
		t.Errorf("read-only: got %d, changes %v", got.code, jobs.change)
	}
}

func TestAWarningIsShownBesideTheMissingResultAndInTheList(t *testing.T) {
	t.Parallel()
	const warning = `result contains \u0000, which Postgres cannot store`
	jobs := &shelf{
		row:   store.JobRow{ID: 17, Kind: "mail", State: understudy.StateCompleted, LastError: "mailbox full", Warning: warning},
		found: store.Found{Jobs: []store.Summary{{ID: 17, State: understudy.StateCompleted, LastError: "mailbox full", Warning: warning}}},
	}
	h := handler(t, jobs.options())
	look(h, "/jobs/17").mustBe(t, "the page", 200, `<p class="empty">None.</p><p class="problem">`+warning+`</p>`, "mailbox full")
	look(h, "/jobs").mustBe(t, "the list", 200, `title="`+warning+`">`+warning)
	mustContain(t, "the JSON", ask(h, "GET", "/api/jobs/17").body, `"warning":"result contains \\u0000`)
	jobs.row.Warning = ""
	mustLack(t, "a page without", look(h, "/jobs/17").body, `class="problem"`)
	mustLack(t, "JSON without", ask(h, "GET", "/api/jobs/17").body, "warning")
}

func TestLongJSONIsCutWithItsSizeAndAWayToAllOfIt(t *testing.T) {
	t.Parallel()
	long := `"` + strings.Repeat("é", 100_000) + `"`
	deep := strings.Repeat("[", 1000) + strings.Repeat("]", 1000)
	jobs := &shelf{row: store.JobRow{ID: 17, State: "completed", Args: []byte(long), Result: []byte("[" + strings.Repeat(deep+",", 500) + "1]")}}
	got := look(handler(t, jobs.options()), "/jobs/17")
	got.mustBe(t, "the page", 200, "The first 64 KB; it has 200,002 bytes", "it has 1,000,503 bytes", `<a href="/api/jobs/17">All of it`)
	mustLack(t, "the page", got.body, "\uFFFD")
	if len(got.body) > 200_000 {
		t.Errorf("the page has %d bytes", len(got.body))
	}
}

func TestAJobAsJSONIsTheStoresRow(t *testing.T) {
	t.Parallel()
	jobs := &shelf{row: store.JobRow{ID: 17, Kind: "mail", Args: []byte(`{"to":"<ada>"}`), State: "running"}}
	h := handler(t, jobs.options())
	got := ask(h, "GET", "/api/jobs/17")
	if got.code != 200 || got.header.Get("Content-Type") != "application/json" {
		t.Errorf("got %d %v", got.code, got.header)
	}
	mustContain(t, "the row", got.body, `"id":17`, `"kind":"mail"`, `"state":"running"`)
	jobs.err = &store.Refusal{Code: "P0002", Message: `there is no job 17 in schema "production"`}
	ask(h, "GET", "/api/jobs/17").check(t, 404, jobs.err.Error())
}

func TestAJobThatIsNotThereIsNotFound(t *testing.T) {
	t.Parallel()
	jobs := &shelf{err: &store.Refusal{Code: "P0002", Message: "there is no job 17"}}
	h := handler(t, jobs.options())
	look(h, "/jobs/17").mustBe(t, "a page", 404, "there is no job 17", "kept for worker.retention")
	post(h, "/jobs/17/retry", nil, browser...).mustBe(t, "a retry", 404, "there is no job 17")
	for _, id := range []string{"abc", "0", "-1", "1.5", "99999999999999999999"} {
		look(h, "/jobs/"+id).mustBe(t, id, 404, "there is no job &#34;"+id+"&#34;: jobs have numbers")
		post(h, "/jobs/"+id+"/cancel", nil).check(t, 404, fmt.Sprintf("there is no job %q: jobs have numbers, from 1", id))
	}
	if diff := cmp.Diff([]string{"retry 17"}, jobs.change); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}

func TestABrowserIsShownTheJobAndAProgramToldItsState(t *testing.T) {
	t.Parallel()
	for verb, state := range map[string]understudy.State{"retry": "available", "retry_completed": "available", "cancel": "running"} {
		jobs := &shelf{state: state}
		h := handler(t, jobs.options())
		got := post(h, "/jobs/17/"+verb, url.Values{"place": {`target "production", schema "production"`}}, browser...)
		if got.code != 303 || got.header.Get("Location") != "/jobs/17" {
			t.Errorf("%s: got %d %v", verb, got.code, got.header)
		}
		got = post(h, "/jobs/17/"+verb, nil)
		if want := fmt.Sprintf("{\"id\":17,\"id_text\":\"17\",\"state\":%q}\n", state); got.code != 200 || got.body != want {
			t.Errorf("%s: got %d %q", verb, got.code, got.body)
		}
		if diff := cmp.Diff([]string{verb + " 17", verb + " 17"}, jobs.change); diff != "" {
			t.Errorf("changes (-want +got):\n%s", diff)
		}
	}
}

func TestWhatTheStoreRefusesIsAConflictInItsWords(t *testing.T) {
	t.Parallel()
	jobs := &shelf{err: &store.Refusal{Code: "55006", Message: "retry: job 17 is running: wait until it ends, or cancel it first"}}
	h := handler(t, jobs.options())
	post(h, "/jobs/17/retry", nil, browser...).mustBe(t, "a page", 409, jobs.err.Error(), `href="/jobs/17"`)
	post(h, "/jobs/17/retry", nil).check(t, 409, jobs.err.Error())
}

func TestCancellingAJobThatIsFinishedIsAConflict(t *testing.T) {
	t.Parallel()
	jobs := &shelf{state: understudy.StateCompleted}
	h := handler(t, jobs.options())
	post(h, "/jobs/17/cancel", nil, browser...).mustBe(t, "a page", 409, "cancel: job 17 is completed already")
	post(h, "/jobs/17/cancel", nil).check(t, 409, "cancel: job 17 is completed already")
	jobs.state = understudy.StateCancelled
	if got := post(h, "/jobs/17/cancel", nil); got.code != 200 {
		t.Errorf("one that is cancelled: got %d %q", got.code, got.body)
	}
}

func TestAConfirmationOfAnotherPlaceChangesNothing(t *testing.T) {
	t.Parallel()
	jobs := &shelf{state: "available"}
	h := handler(t, jobs.options())
	form := url.Values{"place": {`target "preview", schema "production"`}}
	post(h, "/jobs/17/retry", form, browser...).mustBe(t, "a page", 409, "nothing was changed: the page was of target &#34;preview&#34;")
	if len(jobs.change) != 0 {
		t.Errorf("changes: %v", jobs.change)
	}
}

func TestAConfirmationThatCannotBeReadChangesNothing(t *testing.T) {
	t.Parallel()
	for body, code := range map[string]int{"place=%zz": 400, "place=x;y": 400, "place=": 409, "place=" + strings.Repeat("x", 5<<20): 413} {
		jobs := &shelf{state: understudy.StateAvailable}
		r := httptest.NewRequest("POST", "/jobs/7/retry", strings.NewReader(body))
		r.Host = "worker:8080"
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		handler(t, jobs.options()).ServeHTTP(w, r)
		if w.Code != code || len(jobs.change) != 0 {
			t.Errorf("%.20s: got %d, changed %v: %.200s", body, w.Code, jobs.change, w.Body)
		}
	}
}

func TestJobsAreNotChangedFromElsewhereNorWhereTheyMayOnlyBeRead(t *testing.T) {
	t.Parallel()
	jobs := &shelf{state: "available"}
	o := jobs.options()
	readOnly := jobs.options()
	readOnly.ReadOnly = true
	withToken := jobs.options()
	withToken.Token = func() (string, error) { return "secret", nil }
	for _, verb := range []string{"retry", "retry_completed", "cancel"} {
		path := "/jobs/17/" + verb
		if got := post(handler(t, o), path, nil, "Sec-Fetch-Site", "cross-site"); got.code != 403 {
			t.Errorf("%s from another site: got %d %q", verb, got.code, got.body)
		}
		post(handler(t, readOnly), path, nil).check(t, 403, "refused: http.read_only is set")
		if got := post(handler(t, withToken), path, nil); got.code != 401 {
			t.Errorf("%s without a token: got %d %q", verb, got.code, got.body)
		}
		for _, method := range []string{"GET", "PUT", "DELETE"} {
			if got := ask(handler(t, o), method, path); got.code != 405 {
				t.Errorf("%s %s: got %d", method, path, got.code)
			}
		}
	}
	for _, path := range []string{"/jobs", "/jobs/17", "/api/jobs/17"} {
		if got := ask(handler(t, o), "POST", path); got.code != 405 {
			t.Errorf("POST %s: got %d", path, got.code)
		}
		if got := ask(handler(t, withToken), "GET", path); got.code != 401 {
			t.Errorf("GET %s without a token: got %d", path, got.code)
		}
	}
	if len(jobs.change) != 0 {
		t.Errorf("changes: %v", jobs.change)
	}
}

func TestAWorkerThatServesNothingSaysWhyAndWhereToLook(t *testing.T) {
	t.Parallel()
	o := options()
	o.Status = func() understudy.Status {
		return understudy.Status{Phase: understudy.PhaseOpening, Role: "active", Target: "production", Problem: "behind: run understudy migrate up"}
	}
	h := handler(t, o)
	for _, path := range []string{"/jobs", "/jobs/17"} {
		look(h, path).mustBe(t, path, 503, "this worker serves no target now", "is wanted as &#34;active&#34; and not served yet", "behind: run understudy migrate up", "understudy jobs list")
	}
	post(h, "/jobs/17/retry", nil, browser...).mustBe(t, "a retry", 503, "this worker serves no target now")
	if got := ask(h, "GET", "/api/jobs/17"); got.code != 503 || got.header.Get("Retry-After") != "1" || !strings.HasPrefix(got.body, "this worker serves no target now: ") {
		t.Errorf("got %d %v %q", got.code, got.header, got.body)
	}
}

func TestAnEpochThatEndsMeanwhileIsNoInternalError(t *testing.T) {
	t.Parallel()
	jobs := &shelf{err: errors.New("closed pool")}
	o := jobs.options()
	now := dashboard.Jobs(jobs)
	o.Jobs = func() dashboard.Jobs {
		defer func() { now = nil }()
		return now
	}
	look(handler(t, o), "/jobs/17").mustBe(t, "the page", 503, "serves no target now")
}

func TestADatabaseThatDoesNotAnswerIsSaidSo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log, out := logged()
		jobs := &shelf{hangs: true}
		o := jobs.options()
		o.Log = log
		h := handler(t, o)
		for _, path := range []string{"/jobs", "/jobs/17"} {
			began := time.Now()
			got := look(h, path)
			got.mustBe(t, path, 503, "the database did not answer within 5s<", `href="`+path+`">Try again`)
			mustLack(t, path, got.body, "db.internal")
			if took := time.Since(began); took != 5*time.Second {
				t.Errorf("%s took %s", path, took)
			}
		}
		post(h, "/jobs/17/retry", nil, browser...).mustBe(t, "a retry", 503, "within 5s: it may have been done or not", `href="/jobs/17"`)
		mustContain(t, "the log", out.String(), "level=WARN", "db.internal")
	})
}

func TestADatabaseThatCannotBeReachedIsNotTheWorkersFault(t *testing.T) {
	t.Parallel()
	jobs := &shelf{err: errors.New("dial db.internal: connection refused")}
	h := handler(t, jobs.options())
	got := look(h, "/jobs")
	got.mustBe(t, "the page", 503, "the database could not be asked")
	mustLack(t, "the page", got.body, "db.internal")
	jobs.err = fmt.Errorf("search jobs: %w", &pgconn.PgError{Code: "42501", Message: "permission denied for table open_jobs"})
	got = look(h, "/jobs")
	got.mustBe(t, "the page", 500, "internal error: see the log")
	mustLack(t, "the page", got.body, "permission")
}

func TestTablesAndFieldsAreNamedForWhoCannotSeeThem(t *testing.T) {
	t.Parallel()
	jobs := &shelf{
		found: store.Found{Jobs: []store.Summary{{ID: 1}}},
		row:   store.JobRow{ID: 1, State: "completed", Attempts: []store.Attempt{{Number: 1}}},
	}
	h := handler(t, jobs.options())
	for _, path := range []string{"/jobs", "/jobs/1"} {
		page := look(h, path).body
		if strings.Count(page, "<h1") != 1 {
			t.Errorf("%s has %d headings", path, strings.Count(page, "<h1"))
		}
		if heads := strings.Count(page, "<th"); heads == 0 || heads != strings.Count(page, `<th scope="col"`)+strings.Count(page, "<thead") {
			t.Errorf("%s has table headings without a scope", path)
		}
		mustLack(t, path, page, "style=", "onclick", "<style")
		for _, field := range []string{"state", "kind", "queue", "text"} {
			if path == "/jobs" && !(strings.Contains(page, `<label for="`+field+`"`) && strings.Contains(page, `id="`+field+`"`)) {
				t.Errorf("the field %s has no label", field)
			}
		}
	}
}
