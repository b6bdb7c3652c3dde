package web_test

import (
	"bytes"
	"embed"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/understudy-worker/understudy/internal/web"
)

//go:embed testdata
var testFiles embed.FS

// testdataFiles are the templates of these tests.
var testdataFiles, _ = fs.Sub(testFiles, "testdata")

// answer is what a request got.
type answer struct {
	code   int
	body   string
	header http.Header
}

// ask sends a request; headers are name and value by turns.
func ask(h http.Handler, r *http.Request, headers ...string) answer {
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return answer{w.Code, w.Body.String(), w.Header()}
}

func get(path string) *http.Request { return httptest.NewRequest("GET", path, nil) }

// post sends a form; fields are name and value by turns.
func post(path string, fields ...string) *http.Request {
	form := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	r := httptest.NewRequest("POST", path, strings.NewReader(form.Encode()))
	r.Host = "worker:8080"
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// browser is what a browser asks for when it goes to a page.
var browser = []string{"Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}

// site is a site with a page and something to change, which counts its changes.
type site struct {
	http.Handler
	changes int
	log     bytes.Buffer
}

func newSite(o web.Options) *site {
	s := &site{}
	o.Log = slog.New(slog.NewTextHandler(&s.log, nil))
	o.Routes = []web.Route{
		{Method: "GET", Path: "/page", Serve: func(w http.ResponseWriter, r *http.Request) { web.Text(w, 200, "the page") }},
		{Method: "GET", Path: "/open", Serve: func(w http.ResponseWriter, r *http.Request) { web.Text(w, 200, "open") }, Open: true},
		{Method: "POST", Path: "/change", Serve: func(w http.ResponseWriter, r *http.Request) { s.changes++; web.Text(w, 200, "done") }},
	}
	s.Handler = web.New(o)
	return s
}

func token(text string) func() (string, error) { return func() (string, error) { return text, nil } }

func mustContain(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in:\n%s", part, text)
		}
	}
}
