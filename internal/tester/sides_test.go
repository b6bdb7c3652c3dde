package tester_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/internal/pgtest"
	"github.com/understudy-worker/understudy/internal/tester"
	"github.com/understudy-worker/understudy/store"
)

// epoch opens an epoch of a worker on a schema.
func (b *bench) epoch(schema, pod, version, role string) *store.Queue {
	b.t.Helper()
	queue, err := store.NewQueue(b.pool, store.QueueOptions{
		Pod: pod, Lease: time.Minute, MaxLosses: 5, Retention: time.Hour,
		Place: understudy.Place{Role: role, Target: role, Schema: schema, Version: version},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(queue.Close)
	if err := queue.Open(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	return queue
}

// work works one echo job that waits.
func (b *bench) work(queue *store.Queue) {
	b.t.Helper()
	jobs, _, err := queue.Claim(b.t.Context(), understudy.ClaimRequest{Queue: "default", Kinds: []string{"echo"}, Limit: 1})
	if err != nil || len(jobs) != 1 {
		b.t.Fatalf("claimed %v, error %v", jobs, err)
	}
	if _, err := queue.Record(b.t.Context(), []understudy.Outcome{{Job: jobs[0], Verdict: understudy.Completed}}); err != nil {
		b.t.Fatal(err)
	}
}

func TestEachSideShowsWhoWorksWhichJobs(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.migrate(b.preview)
	one, two := b.epoch(b.production, "pod-one", "1.0", "active"), b.epoch(b.preview, "pod-two", "2.0", "preview")
	for _, name := range []string{"production", "production", "preview"} {
		b.enqueue(url.Values{"side": {name}, "kind": {"echo"}})
	}
	b.work(one)
	b.work(two)
	production, preview := b.status()
	for _, c := range []struct {
		side                      side
		schema, pod, version      string
		due, available, completed int64
	}{
		{production, b.production, "pod-one", "1.0", 1, 1, 1},
		{preview, b.preview, "pod-two", "2.0", 0, 0, 1},
	} {
		s, config := c.side, b.pool.Config().ConnConfig
		if s.Problem != nil || s.Schema != c.schema || s.Database != config.Database || !strings.Contains(s.Server, config.Host) {
			t.Errorf("%s: %+v", s.Name, s)
		}
		if len(s.Workers) != 1 || s.Workers[0].Pod != c.pod || s.Workers[0].Version != c.version {
			t.Errorf("%s: workers %+v", s.Name, s.Workers)
		}
		if s.Due != c.due || s.Counts["available"] != c.available || s.Counts["completed"] != c.completed {
			t.Errorf("%s: due %d, counts %v", s.Name, s.Due, s.Counts)
		}
		if len(s.Jobs) != 1 || s.Jobs[0].State != understudy.StateCompleted || s.Jobs[0].WorkerVersion != c.version {
			t.Errorf("%s: jobs %+v", s.Name, s.Jobs)
		}
	}
	b.contains("the page", b.page(), "pod-one", "pod-two", b.production, b.preview,
		`<span class="tag blue">active</span>`, `<span class="tag green">preview</span>`, `<span class="sign completed">completed</span>`)
}

func TestEmptySidesSayWhatToDo(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.migrate(b.preview)
	b.contains("the page", b.page(), "Start a worker.", "Start a preview.", "None yet: enqueue one above.")
}

// away is a side whose server is behind a port that nobody listens on.
func away(t *testing.T) func(context.Context) (tester.Place, error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	return sideOf(t, "postgres://somebody:hunter2@"+address+"/shop?sslmode=disable")
}

func sideOf(t *testing.T, dsn string) func(context.Context) (tester.Place, error) {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return func(context.Context) (tester.Place, error) { return tester.At(pool, "preview") }
}

func TestASideThatIsAwaySaysSoAndHarmsNotTheOther(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(b *bench) { b.options.Sides[1].Find = away(b.t) })
	b.enqueue(url.Values{"side": {"production"}, "kind": {"echo"}})
	production, preview := b.status()
	if production.Problem != nil || production.Due != 1 {
		t.Errorf("production: %+v", production)
	}
	if p := preview.Problem; p == nil || !strings.Contains(p.What, "cannot be connected to") || !strings.Contains(p.What, "refused") || p.Do != "Start preview." {
		t.Errorf("preview: %+v", p)
	}
	page := b.page()
	b.contains("the page", page, "cannot be connected to", "Start preview.", "database shop at 127.0.0.1:")
	got := b.enqueue(url.Values{"side": {"preview"}, "kind": {"echo"}})
	if got.code != http.StatusServiceUnavailable || !strings.HasPrefix(got.body, "Nothing was enqueued. The server cannot be connected to: ") {
		t.Errorf("enqueue: %d %s", got.code, got.body)
	}
	if strings.Contains(page+got.body+preview.Problem.What, "hunter2") {
		t.Error("the password is shown")
	}
}

// silent is a side whose server takes connections and says nothing.
func silent(t *testing.T) func(context.Context) (tester.Place, error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return sideOf(t, "postgres://somebody@"+listener.Addr().String()+"/shop?sslmode=disable")
}

func TestASideThatDoesNotAnswerHoldsUpNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(b *bench) {
		b.options.Sides[1].Find = silent(b.t)
		// Production has time to answer, and the page comes before the look at the preview ends.
		b.options.Timeouts = tester.Timeouts{Look: 30 * time.Second, Page: 5 * time.Second}
	})
	b.contains("the page", b.page(), "It has not answered yet.", b.production)
	production, preview := b.status()
	if production.Problem != nil {
		t.Errorf("production: %+v", production.Problem)
	}
	if p := preview.Problem; p == nil || p.Error() != "The server does not answer. Start preview." || preview.Database != "shop" {
		t.Errorf("preview: %+v", preview)
	}
}

func TestASchemaThatIsNotThereSaysSoUntilItIs(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if _, preview := b.status(); preview.Problem == nil || !strings.Contains(preview.Problem.What, b.preview) || preview.Problem.Do != "Migrate preview." {
		t.Errorf("preview: %+v", preview.Problem)
	}
	b.contains("the page", b.page(), "is not there, or is not migrated", "Migrate preview.")
	b.migrate(b.preview)
	if _, preview := b.status(); preview.Problem != nil {
		t.Errorf("after its migration: %+v", preview.Problem)
	}
}

func TestMarkupIsShownAsText(t *testing.T) {
	t.Parallel()
	const markup = `<img src=x onerror="alert(1)">`
	b := newBench(t)
	queue := b.epoch(b.production, "<b>pod", "<i>1.0", "<u>active")
	if got := b.enqueue(url.Values{"side": {"production"}, "kind": {markup}, "args": {`{"a": "</script><script>"}`}}); got.code != http.StatusCreated {
		t.Fatalf("%d %s", got.code, got.body)
	}
	jobs, _, err := queue.Claim(t.Context(), understudy.ClaimRequest{Queue: "default", Kinds: []string{markup}, Limit: 1})
	if err != nil || len(jobs) != 1 {
		t.Fatalf("claimed %v, error %v", jobs, err)
	}
	page := b.page()
	b.contains("the page", page, "&lt;img src=x", "&lt;b&gt;pod", "&lt;i&gt;1.0", "&lt;u&gt;active")
	refusal := b.do("POST", "/enqueue", url.Values{"side": {markup}}, "Accept", "text/html")
	b.contains("the refusal", refusal.body, "&lt;img src=x")
	for what, text := range map[string]string{"the page": page, "the refusal": refusal.body} {
		for _, raw := range []string{"<img", "<b>pod", "<i>1.0", "<u>active", "</script><script>"} {
			if strings.Contains(text, raw) {
				t.Errorf("%s holds %s", what, raw)
			}
		}
	}
}

// update is what a stream sends.
type update struct{ Parts [][2]string }

// stream reads a page's stream until a part holds a text.
func (b *bench) stream(id, text string, meanwhile func()) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, "GET", b.url+"/events", nil)
	if err != nil {
		b.t.Fatal(err)
	}
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		var u update
		if !ok || json.Unmarshal([]byte(data), &u) != nil {
			continue
		}
		if slices.ContainsFunc(u.Parts, func(p [2]string) bool { return p[0] == id && strings.Contains(p[1], text) }) {
			return
		}
		if meanwhile != nil {
			meanwhile()
			meanwhile = nil
		}
	}
	b.t.Fatalf("the stream ended without %q in %s: %v", text, id, errors.Join(lines.Err(), ctx.Err()))
}

func TestAPageThatIsOpenFollowsWhatHappens(t *testing.T) {
	t.Parallel()
	b := newBench(t, usualTimeouts, func(b *bench) { b.options.Sides[1].Find = silent(b.t) })
	b.stream("side-production", "pod-late", func() { b.epoch(b.production, "pod-late", "1.0", "active") })
	b.stream("side-preview", "Start preview.", nil)
}

func TestASideMayMove(t *testing.T) {
	t.Parallel()
	at := make(chan string, 1)
	b := newBench(t, func(b *bench) {
		b.options.Sides[1].Find = func(context.Context) (tester.Place, error) {
			schema := <-at
			at <- schema
			return tester.At(b.pool, schema)
		}
		at <- b.preview
	})
	b.migrate(b.preview)
	next := pgtest.Schema(t)
	b.migrate(next)
	<-at
	at <- next
	b.enqueue(url.Values{"side": {"preview"}, "kind": {"echo"}})
	if _, preview := b.status(); preview.Schema != next || preview.Due != 1 || b.total(b.preview) != 0 {
		t.Errorf("after the move: %+v", preview)
	}
}

func TestServeEndsWithItsContextAlsoWhileAPageIsOpen(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	page, err := tester.New(b.options)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- page.Serve(ctx, listener) }()
	b.url = "http://" + listener.Addr().String()
	b.stream("side-production", b.options.Sides[0].Advice.Unserved, nil)
	open, err := http.NewRequestWithContext(t.Context(), "GET", b.url+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(open)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("it goes on")
	}
	if conn, err := net.Dial("tcp", listener.Addr().String()); err == nil {
		_ = conn.Close()
		t.Error("somebody listens still")
	}
}
