package dashboard_test

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/dashboard"
	"github.com/understudy-worker/understudy/internal/pgtest"
	"github.com/understudy-worker/understudy/store"
)

// realJobs are the jobs of a new schema, and a worker's pages of them.
func realJobs(t *testing.T) (*store.Store, *store.Queue, http.Handler) {
	t.Helper()
	pool, schema := pgtest.Pool(t), pgtest.Schema(t)
	if err := store.Migrate(t.Context(), pool.Config().ConnConfig, store.MigrateOptions{Schema: schema}); err != nil {
		t.Fatal(err)
	}
	jobs, err := store.New(pool, schema)
	if err != nil {
		t.Fatal(err)
	}
	place := understudy.Place{Role: "active", Target: "production", Schema: schema, Version: "1.0"}
	queue, err := store.NewQueue(pool, store.QueueOptions{Pod: t.Name(), Lease: time.Minute, MaxLosses: 5, Retention: time.Hour, Place: place})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(queue.Close)
	if err := queue.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	o := options()
	placed := &placed{jobs, place}
	o.Jobs = func() dashboard.Jobs { return placed }
	return jobs, queue, handler(t, o)
}

// placed are jobs, and where they are.
type placed struct {
	*store.Store
	place understudy.Place
}

func (p *placed) Place() understudy.Place { return p.place }

var hiddenField = regexp.MustCompile(`<input type="hidden" name="place" value="([^"]*)">`)

// confirm does on a job's page what a person does: it sends the form that the
// button opens.
func confirm(t *testing.T, h http.Handler, id int64, verb string) {
	t.Helper()
	path := fmt.Sprintf("/jobs/%d", id)
	page := look(h, path)
	page.mustBe(t, path, 200, fmt.Sprintf(`<form method="post" action="%s/%s"`, path, verb))
	field := hiddenField.FindStringSubmatch(page.body)
	if field == nil {
		t.Fatalf("no form says what it is for:\n%s", page.body)
	}
	form := map[string][]string{"place": {html.UnescapeString(field[1])}}
	if got := post(h, path+"/"+verb, form, browser...); got.code != 303 || got.header.Get("Location") != path {
		t.Errorf("%s: got %d %v %s", verb, got.code, got.header, got.body)
	}
}

func TestAJobIsFoundOpenedCancelledAndRetried(t *testing.T) {
	t.Parallel()
	jobs, queue, h := realJobs(t)
	look(h, "/jobs").mustBe(t, "no jobs", 200, "No jobs yet")
	ids, err := jobs.EnqueueMany(t.Context(), []store.NewJob{
		{Kind: "mail", Args: map[string]string{"to": "Ada@example.com"}, UniqueKey: "ada"}, {Kind: "mail"}, {Kind: "report"},
	})
	if err != nil {
		t.Fatal(err)
	}
	id, link := ids[0], fmt.Sprintf(`<a href="/jobs/%d">`, ids[0])
	list := look(h, "/jobs?kind=mail&text=ada%40")
	list.mustBe(t, "the list", 200, link, "available", "Ada@example.com")
	mustLack(t, "the list", list.body, fmt.Sprintf(`<a href="/jobs/%d">`, ids[1]), fmt.Sprintf(`<a href="/jobs/%d">`, ids[2]))

	confirm(t, h, id, "cancel")
	look(h, "/jobs?state=cancelled").mustBe(t, "the cancelled", 200, link)
	taken, err := jobs.Enqueue(t.Context(), store.NewJob{Kind: "mail", UniqueKey: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	refused := fmt.Sprintf("retry: the unique key of job %d is taken by job %d, which is unfinished", id, taken)
	post(h, fmt.Sprintf("/jobs/%d/retry", id), nil).check(t, 409, refused)
	confirm(t, h, taken, "cancel")
	confirm(t, h, id, "retry")

	claimed, _, err := queue.Claim(t.Context(), understudy.ClaimRequest{Queue: "default", Kinds: []string{"mail"}, Limit: 10})
	if err != nil || len(claimed) != 2 {
		t.Fatalf("claimed %d, error %v", len(claimed), err)
	}
	path := fmt.Sprintf("/jobs/%d", id)
	look(h, "/jobs?state=running").mustBe(t, "the running", 200, link)
	look(h, path).mustBe(t, "the running job", 200, `data-refresh="2000"`, `<span class="sign running">running</span></td>`, queue.Epoch())
	post(h, path+"/retry", nil).check(t, 409, fmt.Sprintf("retry: job %d is running: wait until it ends, or cancel it first", id))

	for _, job := range claimed {
		if err := job.SetResult("sent"); err != nil {
			t.Fatal(err)
		}
		if _, err := queue.Record(t.Context(), []understudy.Outcome{{Job: job, Verdict: understudy.Completed}}); err != nil {
			t.Fatal(err)
		}
	}
	look(h, path).mustBe(t, "the completed job", 200, "completed", "&#34;sent&#34;")
	post(h, path+"/cancel", nil).check(t, 409, fmt.Sprintf("cancel: job %d is completed already", id))
	post(h, path+"/retry", nil).check(t, 409, fmt.Sprintf("retry: job %d is completed: what it did would be done again. retry_completed() does that", id))
	look(h, path).mustBe(t, "the job after a refused retry", 200, "completed", "&#34;sent&#34;")

	want, err := jobs.Job(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	var got store.JobRow
	if err := json.Unmarshal([]byte(ask(h, "GET", "/api/jobs/"+fmt.Sprint(id)).body), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(indented(want), indented(got)); diff != "" {
		t.Errorf("the row as JSON (-want +got):\n%s", diff)
	}
	confirm(t, h, id, "retry_completed")
	look(h, path).mustBe(t, "the job that runs again", 200, "available")
	look(h, "/jobs/4711").mustBe(t, "no job", 404, "there is no job 4711 in schema", "kept for worker.retention")
	look(h, "/jobs?text=%00").mustBe(t, "a NUL", 400, "search: text contains a NUL character")
}

// indented is a row as JSON, in which white space does not count.
func indented(row store.JobRow) string {
	text, err := json.MarshalIndent(row, "", " ")
	if err != nil {
		return err.Error()
	}
	return string(text)
}
