package dashboard_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/dashboard"
	"github.com/understudy-worker/understudy/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// serving is a status of a worker that serves production.
var serving = understudy.Status{
	Phase:   understudy.PhaseServing,
	Since:   time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	Role:    "active",
	Target:  "production",
	Serving: understudy.Place{Role: "active", Target: "production", Schema: "production", Version: "1.0"},

	EpochSince: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
}

// options are those of a worker that serves production and asks for no token.
func options() dashboard.Options {
	return dashboard.Options{
		Status:        func() understudy.Status { return serving },
		Ticked:        time.Now,
		Count:         func() int64 { return 42 },
		Enqueue:       func(context.Context, string, any) (int64, error) { return 7, nil },
		Worker:        func() *understudy.WorkerStatus { return nil },
		Podinfo:       func() dashboard.Podinfo { return dashboard.Podinfo{} },
		Where:         func() *dashboard.Where { return nil },
		Pool:          func() *dashboard.Pool { return nil },
		Jobs:          func() dashboard.Jobs { return nil },
		Metrics:       dashboard.NewMetrics(prometheus.NewRegistry(), dashboard.Sources{}),
		Version:       "1.0",
		Commit:        "abc",
		ReadyRequires: []string{"production"},
		Gatherer:      prometheus.NewRegistry(),
		Log:           slog.New(slog.DiscardHandler),
	}
}

func handler(t *testing.T, o dashboard.Options) http.Handler {
	t.Helper()
	h, err := dashboard.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// answer is what a request got.
type answer struct {
	code   int
	body   string
	header http.Header
}

// ask sends a request; headers are name and value by turns.
func ask(h http.Handler, method, path string, headers ...string) answer {
	r := httptest.NewRequest(method, path, nil)
	r.Host = "worker:8080"
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return answer{w.Code, w.Body.String(), w.Header()}
}

// check compares code and body. Every body is text on one line.
func (a answer) check(t *testing.T, code int, body string) {
	t.Helper()
	if a.code != code || a.body != body+"\n" {
		t.Errorf("got %d %q, want %d %q", a.code, a.body, code, body+"\n")
	}
	if kind := a.header.Get("Content-Type"); kind != "text/plain; charset=utf-8" {
		t.Errorf("Content-Type is %q, want plain text", kind)
	}
}

// logged is a logger and what it wrote.
func logged() (*slog.Logger, *bytes.Buffer) {
	out := &bytes.Buffer{}
	return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug})), out
}

func mustContain(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s lacks %q:\n%s", what, part, text)
		}
	}
}

func mustLack(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if strings.Contains(text, part) {
			t.Errorf("%s shows %q:\n%s", what, part, text)
		}
	}
}
