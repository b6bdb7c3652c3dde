package docs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/handlers"
	"github.com/understudy-worker/understudy/reload"
)

// What follows is quoted in handlers.md.

type greeting struct {
	Name string `json:"name"`
}

func greet(ctx context.Context, job *understudy.Job, g greeting) error {
	if g.Name == "" {
		return understudy.Discard(errors.New("nobody to greet"))
	}
	if job.ScheduledAt.Weekday() == time.Sunday {
		return understudy.Snooze(24 * time.Hour)
	}
	if err := send(ctx, "Hello, "+g.Name); errors.Is(err, errBusy) {
		return understudy.RetryAfter(time.Minute, err)
	} else if err != nil {
		return fmt.Errorf("greet %s: %w", g.Name, err)
	}
	return job.SetResult(map[string]string{"greeted": g.Name})
}

var errBusy = errors.New("the line is busy")

// send sends to everybody but two.
func send(_ context.Context, text string) error {
	switch text {
	case "Hello, Busy":
		return errBusy
	case "Hello, Nobody":
		return io.ErrUnexpectedEOF
	}
	return nil
}

func TestQuotedHandlerSaysWhatTheDocumentSays(t *testing.T) {
	t.Parallel()
	monday := time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		args string
		on   time.Time
		want string
	}{
		{`{"name": "Ada"}`, monday, `<nil> {"greeted":"Ada"}`},
		{`{}`, monday, `discard: nobody to greet `},
		{`[]`, monday, `discard: decode arguments of kind "greet": json: cannot unmarshal array into Go value of type docs_test.greeting `},
		{`{"name": "Ada"}`, monday.AddDate(0, 0, 6), `snooze for 24h0m0s `},
		{`{"name": "Busy"}`, monday, `retry after 1m0s: the line is busy `},
		{`{"name": "Nobody"}`, monday, `greet Nobody: unexpected EOF `},
	} {
		job := &understudy.Job{Kind: "greet", Args: json.RawMessage(test.args), ScheduledAt: test.on}
		err := understudy.Typed(greet).Handle(t.Context(), job)
		if got := fmt.Sprintf("%v %s", err, job.Result()); got != test.want {
			t.Errorf("%s on %s: %s, want %s", test.args, test.on.Weekday(), got, test.want)
		}
	}
}

func TestGoInTheDocumentsIsQuotedFromCodeThatIsTried(t *testing.T) {
	t.Parallel()
	sources, err := filepath.Glob("../examples/*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var code string
	for _, file := range append(sources, "handlers_test.go") {
		code += read(t, file)
	}
	for _, document := range documents(t) {
		for _, b := range blocks(read(t, document)) {
			if b.kind == "go" && !strings.Contains(code, b.text) {
				t.Errorf("%s, line %d: these lines stand in no example", document, b.line)
			}
		}
	}
}

// place is where the handlers of these tests work.
var place = understudy.Place{Role: "active", Target: "production", Schema: "production", Version: "1.4.0"}

// configured makes the handlers that handlers.md configures, with texts replaced.
func configured(t *testing.T, replace ...string) understudy.Handlers {
	t.Helper()
	config := map[string]map[string]any{}
	for _, b := range blocks(read(t, "handlers.md")) {
		if b.kind != "yaml" {
			continue
		}
		for kind, settings := range load(t, strings.NewReplacer(replace...).Replace(b.text)).Handlers {
			config[kind] = settings
		}
	}
	all, release, err := handlers.All(config, place)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return all
}

// dsns are the least that a configuration needs.
var dsns = []string{"UNDERSTUDY_TARGETS__PRODUCTION__DSN=postgres://db/x", "UNDERSTUDY_TARGETS__PREVIEW__DSN=postgres://db/y"}

// load reads a configuration as the program does; targets that it does not
// speak of have DSNs.
func load(t *testing.T, text string) reload.Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "understudy.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	source := reload.Source{File: file, Environ: dsns}
	if strings.Contains(text, "targets:") {
		source.Environ = nil
	}
	config, err := reload.Load(source)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return config
}

func newJob(kind string) *understudy.Job {
	return &understudy.Job{ID: 7, Kind: kind, Queue: "default", Args: json.RawMessage(`{"name": "ada"}`), Attempt: 1, MaxAttempts: 25}
}

func TestDocumentedHTTPHandlerSendsWhatIsSaid(t *testing.T) {
	t.Parallel()
	var got http.Header
	var path string
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, path = r.Header, r.URL.Path
		_, _ = io.Copy(w, r.Body)
	}))
	t.Cleanup(service.Close)
	job := newJob("mail")
	if err := configured(t, "http://localhost:3000", service.URL)["mail"].Handle(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	if path != "/jobs/mail" || got.Get("X-Team") != "post" || string(job.Result()) != `{"name":"ada"}` {
		t.Errorf("path %s, headers %v, result %s", path, got, job.Result())
	}
	var names []string
	for name := range got {
		if strings.HasPrefix(name, "Understudy-") {
			names = append(names, name)
		}
	}
	checkFacts(t, 0, names)
}

func TestDocumentedExecHandlerDoesWhatIsSaid(t *testing.T) {
	t.Parallel()
	job := newJob("shout")
	if err := configured(t)["shout"].Handle(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	if got := string(job.Result()); got != `{"NAME":"ADA"}` {
		t.Errorf("result %s", got)
	}
	job = newJob("shout")
	const names = `env | sed -n 's/^\(UNDERSTUDY_[A-Z_]*\)=.*/"\1",/p' | sort | tr -d '\n' | sed 's/^/[/; s/,$/]/'`
	if err := configured(t, `"tr a-z A-Z"`, fmt.Sprintf("%q", names))["shout"].Handle(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	var variables []string
	if err := json.Unmarshal(job.Result(), &variables); err != nil {
		t.Fatalf("%v in %s", err, job.Result())
	}
	checkFacts(t, 1, variables)
}

// checkFacts compares what was told about a job with a column of the table of
// facts in handlers.md.
func checkFacts(t *testing.T, column int, got []string) {
	t.Helper()
	var want []string
	for _, row := range rows(read(t, "handlers.md"), "`http` | `exec`") {
		want = append(want, strings.Trim(row[column], "`"))
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("facts (-the document +what is told):\n%s", diff)
	}
}

func TestEverySettingOfAHandlerIsDocumented(t *testing.T) {
	t.Parallel()
	document := read(t, "handlers.md")
	for _, name := range []string{"http", "exec"} {
		_, err := handlers.New("k", map[string]any{"type": name, "no-such-setting": 1}, place)
		if err == nil {
			t.Fatal("a setting that there is not is taken")
		}
		_, known, _ := strings.Cut(err.Error(), "(known: ")
		want := strings.Split(strings.TrimSuffix(known, ")"), ", ")
		_, section, _ := strings.Cut(document, "### "+name+"\n")
		var got []string
		for _, row := range rows(section, "setting | default | meaning") {
			got = append(got, strings.Trim(row[0], "`"))
		}
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("settings of %s (-known +documented):\n%s", name, diff)
		}
	}
}
