package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/app"
	"github.com/understudy-worker/understudy/internal/pgtest"
	"github.com/understudy-worker/understudy/store"
)

// testerPage is a tester that runs until its test ends.
type testerPage struct {
	t   *testing.T
	url string
}

var listening = regexp.MustCompile(`"msg":"listening","addr":"([^"]+)"`)

// tester runs the command tester on a free port.
func (s *shell) tester(args ...string) *testerPage {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	log, ended := &output{}, make(chan int, 1)
	go func() {
		ended <- app.Run(ctx, s.options, app.IO{
			Args: append([]string{"tester", "--listen=127.0.0.1:0"}, args...), Environ: s.environ, In: strings.NewReader(""), Out: &bytes.Buffer{}, Err: log,
		})
	}()
	s.t.Cleanup(func() {
		cancel()
		if code := <-ended; code != 0 {
			s.t.Errorf("the tester's exit code is %d:\n%s", code, log)
		}
		if s.password != "" && strings.Contains(log.String(), s.password) {
			s.t.Error("the tester's log shows the password")
		}
	})
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if found := listening.FindStringSubmatch(log.String()); found != nil {
			return &testerPage{s.t, "http://" + found[1]}
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("the tester does not listen:\n%s", log)
		}
	}
}

func (p *testerPage) ask(method, path string, form url.Values, headers ...string) (code int, body string) {
	p.t.Helper()
	request, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		p.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return response.StatusCode, string(data)
}

// seatStatus is a side in the tester's JSON, as far as these tests look.
type seatStatus struct {
	Schema  string
	Problem *struct{ What, Do string }
	Due     int64
}

func (p *testerPage) status() (production, preview seatStatus) {
	p.t.Helper()
	code, body := p.ask("GET", "/api/status", nil)
	var status struct{ Sides [2]seatStatus }
	if err := json.Unmarshal([]byte(body), &status); err != nil {
		p.t.Fatalf("%v in %d %s", err, code, body)
	}
	return status.Sides[0], status.Sides[1]
}

func (p *testerPage) enqueue(side, kind string) {
	p.t.Helper()
	if code, body := p.ask("POST", "/enqueue", url.Values{"side": {side}, "kind": {kind}}); code != http.StatusCreated {
		p.t.Fatalf("enqueue in %s: %d %s", side, code, body)
	}
}

func TestTheTesterEnqueuesIntoProductionAndPreview(t *testing.T) {
	t.Parallel()
	s := migratedShell(t, "production")
	page := s.tester()
	page.enqueue("production", "echo")
	production, preview := page.status()
	if production.Schema != s.production || production.Problem != nil || production.Due != 1 {
		t.Errorf("production: %+v", production)
	}
	if preview.Schema != s.preview || preview.Problem == nil || !strings.Contains(preview.Problem.Do, "run: understudy migrate up --target preview") {
		t.Errorf("preview before it is migrated: %+v", preview)
	}
	s.ok("migrate", "up", "--target=preview")
	page.enqueue("preview", "sleep")
	if jobs := s.jobs("--target=preview"); len(jobs) != 1 || jobs[0].Kind != "sleep" {
		t.Errorf("jobs in preview: %+v", jobs)
	}
	if code, body := page.ask("GET", "/", nil, "Accept", "text/html"); code != http.StatusOK || !strings.Contains(body, `<option value="fail">`) ||
		!strings.Contains(body, "Start a worker whose role is active or stable.") {
		t.Errorf("the page: %d %s", code, body)
	}
}

func TestTheTesterKeepsToTheTokenAndToReadOnly(t *testing.T) {
	t.Parallel()
	s := migratedShell(t)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	page := s.tester("--http.token_file="+token, "--http.read_only")
	form := url.Values{"side": {"production"}, "kind": {"echo"}}
	for _, c := range []struct {
		method, path, authorization string
		want                        int
	}{
		{"GET", "/api/status", "", http.StatusUnauthorized},
		{"GET", "/api/status", "Bearer secret", http.StatusOK},
		{"GET", "/health/live", "", http.StatusOK},
		{"GET", "/version", "", http.StatusOK},
		{"POST", "/enqueue", "", http.StatusUnauthorized},
		{"POST", "/enqueue", "Bearer secret", http.StatusForbidden},
	} {
		if code, body := page.ask(c.method, c.path, form, "Authorization", c.authorization); code != c.want {
			t.Errorf("%s %s with %q: %d %s", c.method, c.path, c.authorization, code, body)
		}
	}
	if jobs := s.jobs(); len(jobs) != 0 {
		t.Errorf("jobs: %+v", jobs)
	}
}

// later runs a statement when the test ends.
func (s *shell) later(sql string) {
	s.t.Cleanup(func() {
		if _, err := s.pool.Exec(context.Background(), sql); err != nil {
			s.t.Error(err)
		}
	})
}

// marked makes a preview's schema as a worker in preview does.
func (s *shell) marked(schema string) {
	s.t.Helper()
	s.later("DROP SCHEMA IF EXISTS " + quoted(schema) + " CASCADE")
	err := store.Migrate(s.t.Context(), s.pool.Config().ConnConfig, store.MigrateOptions{Schema: schema, Mark: store.PreviewMark("preview")})
	if err != nil {
		s.t.Fatal(err)
	}
}

func TestTheTesterFollowsThePreviewThatIsServed(t *testing.T) {
	t.Parallel()
	s := migratedShell(t)
	name := s.production[len(s.production)-10:]
	s.environ = append(s.environ, "UNDERSTUDY_TARGETS__PREVIEW__SCHEMA=p_"+name+"_{rollouts-pod-template-hash}")
	one, two, other := "p_"+name+"_1aaaaaaaaa", "p_"+name+"_2bbbbbbbbb", "o_"+name
	page := s.tester()
	at := func(when, want string) {
		t.Helper()
		if _, preview := page.status(); preview.Schema != want {
			t.Errorf("%s: it shows %q (%+v), want %q", when, preview.Schema, preview.Problem, want)
		}
	}
	if _, preview := page.status(); preview.Problem == nil || !strings.HasPrefix(preview.Problem.What, "No preview has begun") {
		t.Errorf("before the first: %+v", preview)
	}
	if code, body := page.ask("POST", "/enqueue", url.Values{"side": {"preview"}, "kind": {"echo"}}); code != http.StatusServiceUnavailable ||
		!strings.HasPrefix(body, "Nothing was enqueued. No preview has begun") {
		t.Errorf("before the first: %d %s", code, body)
	}
	s.marked(one)
	at("with one", one)
	s.marked(two)
	s.marked(other)
	at("with a newer one, and one of another name", two)
	hand := s.hand(one, "pod-one", "1aaaaaaaaa")
	at("while the older is served", one)
	page.enqueue("preview", "echo")
	if jobs := hand.take(t.Context()); len(jobs) != 1 || jobs[0].Schema != one {
		t.Errorf("its worker got %+v", jobs)
	} else {
		hand.record(understudy.Outcome{Job: jobs[0], Verdict: understudy.Completed})
	}
	s.hand(two, "pod-two", "2bbbbbbbbb")
	at("when the newer is served too", two)
	if _, preview := s.tester("--template-hash=1aaaaaaaaa").status(); preview.Schema != one {
		t.Errorf("with --template-hash: %+v", preview)
	}
	if _, preview := s.tester("--schema=" + other).status(); preview.Schema != other {
		t.Errorf("with --schema: %+v", preview)
	}
}

func TestTheTestersFlagsAreChecked(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	s.fails(2, []string{"--target", "--production and --preview"}, "tester", "--target=production")
	s.fails(2, []string{`both "production"`}, "tester", "--preview=production")
	s.fails(2, []string{"name a target for each"}, "tester", "--preview=")
	s.fails(2, []string{"nowhere"}, "tester", "--preview=nowhere")
	s.fails(2, []string{"--label", "key=value"}, "tester", "--label=x", "--targets.preview.schema=p_{x}")
	s.fails(2, []string{"--template-hash HASH"}, "tester", "--targets.production.schema=p_{x}")
	s.fails(2, []string{"unknown flag: --port"}, "tester", "--port=1")
	s.fails(2, []string{"targets.preview"}, "tester", "--targets.preview.dsn=")
	s.fails(1, []string{"--listen", "choose another"}, "tester", "--listen=127.0.0.1:99999")
	s.fails(2, []string{"targets.production.dsn", "cannot be parsed"}, "tester", "--targets.production.dsn=postgres://host:port/")
}

func TestNewConnectionsOfTheTesterUseThePasswordOfNow(t *testing.T) {
	t.Parallel()
	s := migratedShell(t)
	file := filepath.Join(t.TempDir(), "dsn")
	write := func(login string) {
		dsn, err := url.Parse(s.dsn)
		if err != nil {
			t.Fatal(err)
		}
		dsn.User = url.UserPassword(login, "secret")
		if err := os.WriteFile(file, []byte(dsn.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	login := pgtest.Schema(t)
	s.exec("CREATE ROLE " + quoted(login) + " SUPERUSER LOGIN PASSWORD 'secret'")
	s.later("DROP ROLE " + quoted(login))
	write("nobody")
	page := s.tester("--targets.production.dsn=", "--targets.production.dsn_file="+file)
	if production, _ := page.status(); production.Problem == nil {
		t.Errorf("with a login that is not there: %+v", production)
	}
	write(login)
	if production, _ := page.status(); production.Problem != nil {
		t.Errorf("after the file has another: %+v", production.Problem)
	}
}
