package tester_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-worker/understudy/internal/pgtest"
	"github.com/understudy-worker/understudy/internal/tester"
	"github.com/understudy-worker/understudy/internal/web"
	"github.com/understudy-worker/understudy/store"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// patience bounds how long a test waits for something that must happen.
const patience = 2 * time.Minute

// patient are timeouts that a busy machine does not miss. A test of what is slow has
// the usual ones.
var patient = tester.Timeouts{Look: patience, Page: patience, Frame: patience}

func usualTimeouts(b *bench) { b.options.Timeouts = tester.Timeouts{} }

// bench is a tester on two schemas of a test's own, production migrated and
// preview not there.
type bench struct {
	t                   *testing.T
	pool                *pgxpool.Pool
	production, preview string
	jobs                *store.Store // production's
	options             tester.Options
	url                 string
}

func newBench(t *testing.T, change ...func(b *bench)) *bench {
	t.Helper()
	b := &bench{t: t, pool: pgtest.Pool(t), production: pgtest.Schema(t), preview: pgtest.Schema(t)}
	b.jobs = b.migrate(b.production)
	b.options = tester.Options{
		Sides: [2]tester.Side{
			{
				Name: "production", Title: "Production", Tone: web.Blue, Find: b.at(b.production),
				Advice: tester.Advice{Unreachable: "Start production.", Unmigrated: "Migrate production.", Unserved: "Start a worker."},
			},
			{
				Name: "preview", Title: "Preview", Tone: web.Green, Find: b.at(b.preview),
				Advice: tester.Advice{Unreachable: "Start preview.", Unmigrated: "Migrate preview.", Unserved: "Start a preview."},
			},
		},
		Kinds: []string{"echo", "sleep"}, Version: "7.1", Timeouts: patient, Log: slog.New(slog.DiscardHandler),
	}
	for _, c := range change {
		c(b)
	}
	b.serve()
	return b
}

func (b *bench) migrate(schema string) *store.Store {
	b.t.Helper()
	if err := store.Migrate(b.t.Context(), b.pool.Config().ConnConfig, store.MigrateOptions{Schema: schema}); err != nil {
		b.t.Fatal(err)
	}
	s, err := store.New(b.pool, schema)
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// at is a side that stays where it is.
func (b *bench) at(schema string) func(context.Context) (tester.Place, error) {
	return func(context.Context) (tester.Place, error) { return tester.At(b.pool, schema) }
}

func (b *bench) serve() {
	b.t.Helper()
	t, err := tester.New(b.options)
	if err != nil {
		b.t.Fatal(err)
	}
	server := httptest.NewServer(t.Handler())
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { t.Run(ctx) })
	b.t.Cleanup(func() {
		cancel() // which ends the streams
		running.Wait()
		server.Close()
	})
	b.url = server.URL
}

// answer is what a request got.
type answer struct {
	code   int
	body   string
	header http.Header
}

// do sends a request; headers are name and value by turns. Redirects are not followed.
func (b *bench) do(method, path string, form url.Values, headers ...string) answer {
	b.t.Helper()
	request, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := transport.RoundTrip(request)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{response.StatusCode, string(body), response.Header}
}

func (b *bench) page() string {
	b.t.Helper()
	got := b.do("GET", "/", nil, "Accept", "text/html")
	if got.code != http.StatusOK {
		b.t.Fatalf("the page: %d %s", got.code, got.body)
	}
	return got.body
}

// report is the part of /api/status that tests look at.
type report struct {
	Version string
	Sides   []side
	Stage   *tester.State
}

type side struct {
	Name, Server, Database, Schema string
	Problem                        *tester.Trouble
	Workers                        []store.WorkerRow
	Counts                         map[string]int64
	Due                            int64
	More                           []string
	CountedAt                      *time.Time `json:"counted_at"`
	Jobs                           []store.RecentJob
}

func (b *bench) status() (production, preview side) {
	b.t.Helper()
	got := b.do("GET", "/api/status", nil)
	var r report
	if err := json.Unmarshal([]byte(got.body), &r); err != nil || len(r.Sides) != 2 {
		b.t.Fatalf("%v in %d %s", err, got.code, got.body)
	}
	return r.Sides[0], r.Sides[1]
}

// enqueue asks for jobs as a program does.
func (b *bench) enqueue(form url.Values) answer {
	b.t.Helper()
	return b.do("POST", "/enqueue", form)
}

// total is how many jobs there are in a schema.
func (b *bench) total(schema string) (count int) {
	b.t.Helper()
	s, err := store.New(b.pool, schema)
	if err != nil {
		b.t.Fatal(err)
	}
	jobs, err := s.Jobs(b.t.Context(), store.Filter{Limit: 100_000})
	if err != nil {
		b.t.Fatal(err)
	}
	return len(jobs)
}

// until waits until something holds.
func (b *bench) until(what string, holds func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("waited in vain until %s", what)
		}
	}
}

func (b *bench) contains(what, text string, parts ...string) {
	b.t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			b.t.Errorf("%s lacks %q:\n%s", what, part, text)
		}
	}
}
