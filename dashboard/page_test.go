package dashboard_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/dashboard"
	"github.com/understudy-worker/understudy/store"
)

// page is the worker's page as a browser gets it.
func page(t *testing.T, o dashboard.Options) string {
	t.Helper()
	got := ask(handler(t, o), "GET", "/", "Accept", "text/html")
	if got.code != 200 || got.header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("got %d %v: %s", got.code, got.header, got.body)
	}
	return got.body
}

func TestThePageSaysWhatTheProcessDoes(t *testing.T) {
	t.Parallel()
	work := understudy.WorkerStatus{Running: make([]understudy.RunningJob, 2), RenewedAt: time.Now()}
	for name, c := range map[string]struct {
		status understudy.Status
		wants  []string
	}{
		"serving":  {serving, []string{`data-tone="blue"`, "Serving production", "All is well", ">active</h1>", "active · 1.0 · Understudy"}},
		"idle":     {understudy.Status{Phase: understudy.PhaseIdle}, []string{`data-tone="grey"`, "Idle: claims nothing, waits for a role", ">idle</h1>", "no target"}},
		"starting": {understudy.Status{Phase: understudy.PhaseStarting}, []string{`data-tone="grey"`, "Starting: the pod files have not been read yet", "moving"}},
		"draining": {
			understudy.Status{Phase: understudy.PhaseDraining, Role: "active", Target: "production", Serving: understudy.Place{Role: "preview", Target: "preview"}},
			[]string{`data-tone="blue"`, "Draining preview: 2 jobs left, then serves production", "moving"},
		},
		"draining to nothing": {
			understudy.Status{Phase: understudy.PhaseDraining, Serving: understudy.Place{Role: "active", Target: "production"}},
			[]string{`data-tone="grey"`, "Draining production: 2 jobs left, then idle"},
		},
		"opening": {
			understudy.Status{Phase: understudy.PhaseOpening, Role: "preview", Target: "preview", Problem: "connect: <refused>"},
			[]string{`data-tone="green"`, "Opening preview", "⚠ connect: &lt;refused&gt;", "trouble"},
		},
		"no target": {
			understudy.Status{Phase: understudy.PhaseIdle, Role: "night", Unreadable: true},
			[]string{"the role &#34;night&#34; has no target", "the pod files cannot be read for longer than podinfo.grace"},
		},
	} {
		o := options()
		o.Status = func() understudy.Status { return c.status }
		o.Worker, o.Lease = func() *understudy.WorkerStatus { return &work }, 30*time.Second
		mustContain(t, name, page(t, o), c.wants...)
	}
}

func TestThePageShowsWhereItWorksAndNoPassword(t *testing.T) {
	t.Parallel()
	o := options()
	o.Where = func() *dashboard.Where { return &dashboard.Where{Server: "db.example:5432", Database: "shop"} }
	o.Pod = "worker-1"
	o.Pool = func() *dashboard.Pool { return &dashboard.Pool{Acquired: 3, Idle: 2} }
	o.Podinfo = func() dashboard.Podinfo {
		return dashboard.Podinfo{ReadAt: time.Now(), Rearms: 4, Watching: true, Labels: map[string]string{"role": "active", "team": "<shop>"}}
	}
	mustContain(t, "the page", page(t, o), "db.example:5432 / shop / production", "pod worker-1", "3 in use, 2 idle", "set up anew 4 times", "&lt;shop&gt;")
}

func TestALeaseThatIsLateIsATrouble(t *testing.T) {
	t.Parallel()
	o := options()
	o.Lease = 30 * time.Second
	o.Worker = func() *understudy.WorkerStatus {
		return &understudy.WorkerStatus{RenewedAt: time.Now().Add(-11 * time.Second), Unrecorded: 1001}
	}
	mustContain(t, "the page", page(t, o), "the lease, of 30s, was last renewed 11 s ago: can the database be reached?", "1001 outcomes wait to be recorded")
	mustLack(t, "the page", page(t, o), "All is well")
}

func TestHousekeepingThatFailsAgainAndAgainIsATrouble(t *testing.T) {
	t.Parallel()
	o := options()
	failing := func(failures int) {
		o.Worker = func() *understudy.WorkerStatus {
			return &understudy.WorkerStatus{RenewedAt: time.Now(), Failing: []understudy.FailingTask{
				{Task: "prune", Since: time.Now().Add(-5 * time.Minute), Failures: failures, Error: "cannot delete from <table>"},
			}}
		}
	}
	failing(2)
	mustLack(t, "the page", page(t, o), "cannot delete from")
	failing(6)
	mustContain(t, "the page", page(t, o), "dropping what was finished longer ago than the retention fails, 6 times in a row since 5 min ago: cannot delete from &lt;table&gt;")
}

func TestThePageShowsWhatFinishedAndWhatFailedWithItsError(t *testing.T) {
	t.Parallel()
	o := options()
	o.Metrics = dashboard.NewMetrics(prometheus.NewRegistry(), dashboard.Sources{})
	epoch := o.Metrics.Epoch(understudy.Place{Role: "preview", Target: "preview"}, kinds, queues)
	o.Metrics.Swap("swap", 250*time.Millisecond)
	for id := range int64(12) {
		epoch.Finished(understudy.Outcome{Job: &understudy.Job{ID: 100 + id, Kind: "mail", Attempt: 1}, Verdict: understudy.Completed}, 15*time.Millisecond)
	}
	epoch.Finished(understudy.Outcome{Job: &understudy.Job{ID: 200, Kind: "<i>", Attempt: 3}, Verdict: understudy.Retried, Error: "<script>no"}, time.Second)
	epoch.End()
	o.Metrics.Swap("swap", 90*time.Millisecond) // is told before the epoch that it led to begins
	o.Metrics.Epoch(understudy.Place{Role: "active", Target: "production"}, kinds, queues)
	html := page(t, o)
	mustContain(t, "the page", html, "&lt;i&gt;", "&lt;script&gt;no", `<span class="sign retried">retried</span>`, "15 ms", `<span class="tag green">preview</span>`,
		`<td class="number">13</td><td class="number">250 ms</td>`, `<td>now</td><td class="number">0</td><td class="number">90 ms</td>`)
	mustContain(t, "the page", html, `href="/jobs/111"`, `href="/jobs/103"`)
	mustLack(t, "the page", html, `href="/jobs/102"`, "<script>no") // the last ten
}

func TestThePageListsTheJobsThatRunLongest(t *testing.T) {
	t.Parallel()
	o := options()
	o.Worker = func() *understudy.WorkerStatus {
		return &understudy.WorkerStatus{
			Queues:  []understudy.QueueStatus{{Queue: "default", Concurrency: 50, Running: 13, Buffered: 7}},
			Running: make([]understudy.RunningJob, 13),
		}
	}
	mustContain(t, "the page", page(t, o), "and 3 more", "13 <small>of 50</small>", "13 of 50 slots run, 7 claimed ahead")
}

// fakeJobs answers as it is told.
type fakeJobs struct {
	dashboard.Jobs
	workers []store.WorkerRow
	err     error
	depth   int64
}

func (f *fakeJobs) Place() understudy.Place                                 { return serving.Serving }
func (f *fakeJobs) Workers(context.Context, int) ([]store.WorkerRow, error) { return f.workers, f.err }
func (f *fakeJobs) Depth(context.Context, int) (int64, error)               { return f.depth, f.err }

func TestThePageShowsWhoElseServesTheSchema(t *testing.T) {
	t.Parallel()
	jobs := &fakeJobs{workers: []store.WorkerRow{{ID: "1", Pod: "worker-2", Version: "2.0", Role: "canary", State: "draining", StartedAt: time.Now()}}}
	o := options()
	o.Jobs = func() dashboard.Jobs { return jobs }
	mustContain(t, "the page", page(t, o), "worker-2", `<span class="sign draining">draining</span>`, `<span class="tag green">canary</span>`)
}

func TestAPageIsShownThoughTheDatabaseDoesNotAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := options()
		log, out := logged()
		o.Log = log
		o.Jobs = func() dashboard.Jobs { return hangingJobs{} }
		asked := time.Now()
		mustContain(t, "the page", page(t, o), "The database did not say", "Serving production")
		if took := time.Since(asked); took > time.Second {
			t.Errorf("it took %s", took)
		}
		mustContain(t, "the log", out.String(), "the workers of the schema cannot be read")
	})
}

// hangingJobs answers when it is no longer asked.
type hangingJobs struct{ dashboard.Jobs }

func (hangingJobs) Place() understudy.Place { return serving.Serving }

func (hangingJobs) Workers(ctx context.Context, _ int) ([]store.WorkerRow, error) {
	<-ctx.Done()
	return nil, errors.New("db.internal: " + ctx.Err().Error())
}

func (hangingJobs) Depth(ctx context.Context, _ int) (int64, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

func TestWhatWasReadOfOnePlaceIsNotShownOfAnother(t *testing.T) {
	t.Parallel()
	now := serving
	o := options()
	o.Status = func() understudy.Status { return now }
	o.Jobs = func() dashboard.Jobs { return &fakeJobs{workers: []store.WorkerRow{{ID: "1", Pod: "worker-2"}}} }
	h := handler(t, o)
	look := func() string { return ask(h, "GET", "/", "Accept", "text/html").body }
	mustContain(t, "the page", look(), "worker-2")
	now = understudy.Status{Phase: understudy.PhaseIdle}
	mustLack(t, "the idle worker's page", look(), "worker-2")
	now = serving
	now.Serving.Schema = "another"
	mustLack(t, "the page of another place", look(), "worker-2")
}

func TestAVisitorWhoLeavesSpoilsNothingForTheNext(t *testing.T) {
	t.Parallel()
	jobs := &patientJobs{}
	o := options()
	o.Jobs = func() dashboard.Jobs { return jobs }
	h := handler(t, o)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequest("GET", "/", nil).WithContext(gone)
	r.Header.Set("Accept", "text/html")
	h.ServeHTTP(httptest.NewRecorder(), r)
	mustContain(t, "the page", ask(h, "GET", "/", "Accept", "text/html").body, "worker-3")
	if n := jobs.asked.Load(); n != 1 {
		t.Errorf("the database was asked %d times by two visitors", n)
	}
}

// patientJobs answers unless whoever asks has gone.
type patientJobs struct {
	dashboard.Jobs
	asked atomic.Int64
}

func (*patientJobs) Place() understudy.Place { return serving.Serving }

func (j *patientJobs) Workers(ctx context.Context, _ int) ([]store.WorkerRow, error) {
	j.asked.Add(1)
	return []store.WorkerRow{{ID: "1", Pod: "worker-3", Role: "next"}}, ctx.Err()
}

func TestARoleOfOnesOwnHasTheColourOfItsTarget(t *testing.T) {
	t.Parallel()
	for target, tone := range map[string]string{"production": "blue", "preview-eu": "green"} {
		o := options()
		o.Status = func() understudy.Status {
			now := serving
			now.Role, now.Target, now.Serving.Target = "next", target, target
			return now
		}
		o.Jobs = func() dashboard.Jobs { return &placedPatientJobs{target: target} }
		mustContain(t, target, page(t, o), `data-tone="`+tone+`"`, `<span class="tag `+tone+`">next</span>`)
	}
}

// placedPatientJobs are of a target.
type placedPatientJobs struct {
	patientJobs
	target string
}

func (j *placedPatientJobs) Place() understudy.Place {
	place := serving.Serving
	place.Target = j.target
	return place
}

func TestTheRootIsAPageForPeopleAndAListForPrograms(t *testing.T) {
	t.Parallel()
	mustContain(t, "the list", ask(handler(t, options()), "GET", "/").body, "GET  /events")
	mustContain(t, "the page", page(t, options()), "<!doctype html>", `data-events="/events"`)
}

func TestOnlyWhatMayBeChangedHasAButton(t *testing.T) {
	t.Parallel()
	o := options()
	mustContain(t, "the page", page(t, o), "Enqueue a dummy job")
	o.ReadOnly = true
	mustLack(t, "the page that may only be read", page(t, o), "Enqueue a dummy job")
}

func TestAnOpenPageSeesAChangeOfRoleAtOnceAndTheQueuesDepth(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var now atomic.Pointer[understudy.Status]
		now.Store(&serving)
		o := options()
		o.Status = func() understudy.Status { return *now.Load() }
		o.Jobs = func() dashboard.Jobs { return &fakeJobs{depth: 20_000} }
		site, err := dashboard.New(o)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			site.Run(ctx)
		}()
		w := httptest.NewRecorder()
		streamed := make(chan struct{})
		go func() {
			defer close(streamed)
			site.ServeHTTP(w, httptest.NewRequest("GET", "/events", nil))
		}()
		time.Sleep(5050 * time.Millisecond) // the next frame by the clock is most of a second away
		now.Store(&understudy.Status{Phase: understudy.PhaseIdle})
		time.Sleep(150 * time.Millisecond)
		cancel()
		<-ended
		<-streamed
		mustContain(t, "the stream", w.Body.String(), "Serving production", "20,000&#43;", "Idle: claims nothing", `"tone":"grey"`)
	})
}
