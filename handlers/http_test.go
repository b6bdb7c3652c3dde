package handlers_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/handlers"
)

// serve starts a service and returns its URL.
func serve(t *testing.T, handle http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handle)
	t.Cleanup(server.Close)
	return server.URL
}

// post is the settings of an http handler, with further ones added.
func post(url string, more map[string]any) map[string]any {
	settings := map[string]any{"type": "http", "url": url}
	for key, value := range more {
		settings[key] = value
	}
	return settings
}

func TestTheRequestCarriesTheJob(t *testing.T) {
	t.Parallel()
	var got http.Header
	var host, body, query string
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		got, host, body, query = r.Header, r.Host, string(data), r.Method+" "+r.RequestURI
	})
	handler := newHandler(t, post(strings.Replace(url, "//", "//user:pass@", 1)+"/jobs?key=1", map[string]any{
		"headers": map[string]any{"x-team": "payments", "X-Size": 3, "host": "mail.example", "User-Agent": "us"},
	}))
	job := newJob(`{"to": "a"}`)
	job.Queue = "späte\nPost"
	if err := handler.Handle(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	want := http.Header{
		"Understudy-Job-Id": {"42"}, "Understudy-Job-Kind": {"k"}, "Understudy-Job-Queue": {"sp%C3%A4te%0APost"},
		"Understudy-Job-Attempt": {"1"}, "Understudy-Job-Max-Attempts": {"25"}, "Understudy-Job-Role": {"preview"},
		"Understudy-Job-Target": {"preview"}, "Understudy-Job-Schema": {"preview_x"}, "Understudy-Job-Version": {"2.0"},
		"Idempotency-Key": {"preview_x/42/1700000000000005"}, "Content-Type": {"application/json"},
		"Content-Length": {"11"}, "Accept-Encoding": {"gzip"}, "User-Agent": {"us"},
		"X-Team": {"payments"}, "X-Size": {"3"}, "Authorization": {"Basic dXNlcjpwYXNz"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if host != "mail.example" || body != `{"to": "a"}` || query != "POST /jobs?key=1" {
		t.Errorf("got %s to host %s with body %s", query, host, body)
	}
	if job.Result() != nil {
		t.Errorf("an empty answer gave the result %s", job.Result())
	}
}

func TestTheIdempotencyKeyIsTheJobsOwn(t *testing.T) {
	t.Parallel()
	var keys []string
	handler := newHandler(t, post(serve(t, func(_ http.ResponseWriter, r *http.Request) {
		keys = append(keys, r.Header.Get("Idempotency-Key"))
	}), nil))
	first, again, rebuilt := newJob(`{}`), newJob(`{}`), newJob(`{}`)
	again.Attempt = 2
	rebuilt.CreatedAt = rebuilt.CreatedAt.Add(time.Microsecond)
	for _, job := range []*struct{ err error }{
		{handler.Handle(t.Context(), first)}, {handler.Handle(t.Context(), again)}, {handler.Handle(t.Context(), rebuilt)},
	} {
		if job.err != nil {
			t.Fatal(job.err)
		}
	}
	if keys[0] != keys[1] || keys[0] == keys[2] {
		t.Errorf("keys of a job, its second attempt, and its namesake in a rebuilt schema: %q", keys)
	}
}

func TestTheAnswerDecides(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 4096)
	for _, test := range []struct {
		name, retryAfter, body string
		status                 int
		want, result, says     string
		warning                string
	}{
		{name: "JSON", status: 200, body: ` {"a": 1} `, want: "completed", result: `{"a":1}`},
		{name: "JSON behind a byte order mark", status: 200, body: "\ufeff{\"a\": 1}", want: "completed", result: `{"a":1}`},
		{name: "a byte too long behind a byte order mark", status: 200, body: "\ufeff\"" + strings.Repeat("x", 60) + `"`, want: "completed", warning: "result has more than 64 bytes, the limit of max_response_bytes"},
		{name: "JSON with 202", status: 202, body: `[1]`, want: "completed", result: `[1]`},
		{name: "no content", status: 204, want: "completed"},
		{name: "a text", status: 200, body: `ok`, want: "completed"},
		{name: "two values", status: 200, body: `{} {}`, want: "completed"},
		{name: "invalid UTF-8", status: 200, body: "\"\xff\"", want: "completed", warning: "result is not valid UTF-8"},
		{name: "half a text", status: 200, body: `{"a": `, want: "completed"},
		{name: "as long as may be", status: 200, body: `"` + strings.Repeat("x", 62) + `"`, want: "completed", result: `"` + strings.Repeat("x", 62) + `"`},
		{name: "a byte too long", status: 200, body: `"` + strings.Repeat("x", 63) + `"`, want: "completed", warning: "result has more than 64 bytes, the limit of max_response_bytes"},
		{name: "a long text", status: 200, body: "<p>" + long, want: "completed"},
		{name: "many values", status: 200, body: strings.Repeat("{} ", 100), want: "completed"},
		{name: "not found", status: 404, body: "no\x00 \xffsuch thing" + long, want: "discarded", says: "404 Not Found: no \ufffdsuch thingxxx"},
		{name: "bad request", status: 400, retryAfter: "7", want: "discarded", says: "400 Bad Request"},
		{name: "unknown refusal", status: 499, want: "discarded", says: ": 499"},
		{name: "request timeout", status: 408, want: "retried", says: "408 Request Timeout"},
		{name: "too early", status: 425, want: "retried", says: "425 Too Early"},
		{name: "too many", status: 429, retryAfter: "7", want: "retried after 7s", says: "429 Too Many Requests"},
		{name: "internal error", status: 500, body: "oops", want: "retried", says: "500 Internal Server Error: oops"},
		{name: "unavailable", status: 503, retryAfter: "99999999999999999999", want: "retried after 24h0m0s", says: "503 Service Unavailable"},
		{name: "a past delay", status: 503, retryAfter: "0", want: "retried", says: "503 Service Unavailable"},
		{name: "not modified", status: 304, want: "retried", says: "304 Not Modified"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			handler := newHandler(t, post(serve(t, func(w http.ResponseWriter, _ *http.Request) {
				if test.retryAfter != "" {
					w.Header().Set("Retry-After", test.retryAfter)
				}
				w.WriteHeader(test.status)
				io.WriteString(w, test.body)
			}), map[string]any{"max_response_bytes": 64}))
			job := newJob(`{}`)
			err := handler.Handle(t.Context(), job)
			if got := verdict(err); got != test.want {
				t.Errorf("%s (%v), want %s", got, err, test.want)
			}
			if err != nil && (!strings.Contains(err.Error(), test.says) || len(err.Error()) > 700) {
				t.Errorf("error %q, want it short and to say %q", err, test.says)
			}
			if diff := cmp.Diff(test.result, string(job.Result())); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.warning, job.Warning()); diff != "" {
				t.Errorf("warning (-want +got):\n%s", diff)
			}
		})
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		var followed atomic.Bool
		url := serve(t, func(w http.ResponseWriter, r *http.Request) {
			followed.Store(followed.Load() || r.URL.Path == "/new")
			w.Header().Set("Location", "/new?token=hunter2")
			w.WriteHeader(status)
		})
		err := newHandler(t, post(url+"/old", nil)).Handle(t.Context(), newJob(`{}`))
		says := "redirects to " + url + "/new, which is not followed: set url to where the service is"
		if verdict(err) != "retried" || !strings.HasSuffix(err.Error(), says) || followed.Load() {
			t.Errorf("%d: followed: %t, error %v; want a retry that says %q", status, followed.Load(), err, says)
		}
	}
}

func TestRequestErrorsShowNoSecret(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := listener.Addr().String()
	listener.Close()
	broken := serve(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	refusing := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	for _, host := range []string{closed, strings.TrimPrefix(broken, "http://"), strings.TrimPrefix(refusing, "http://")} {
		handler := newHandler(t, post("http://hunter2:hunter2@"+host+"/x?token=hunter2#hunter2", map[string]any{
			"headers": map[string]any{"X-Token": "hunter2"},
		}))
		err := handler.Handle(t.Context(), newJob(`{}`))
		if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "POST http://"+host+"/x: ") {
			t.Errorf("error %v, want it to name the URL without its secrets", err)
		}
	}
}

// hang answers when its client has gone.
func hang(_ http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

func TestACancelledRequestReturnsTheCause(t *testing.T) {
	t.Parallel()
	cause := errors.New("the lease is lost")
	ctx, cancel := context.WithCancelCause(t.Context())
	handler := newHandler(t, post(serve(t, func(w http.ResponseWriter, r *http.Request) {
		cancel(cause)
		hang(w, r)
	}), nil))
	if err := handler.Handle(ctx, newJob(`{}`)); err != cause {
		t.Errorf("error %v, want the context's cause", err)
	}
}

func TestARequestWithoutAnAnswerIsRetried(t *testing.T) {
	t.Parallel()
	for name, handle := range map[string]http.HandlerFunc{
		"none":       hang,
		"half a one": func(w http.ResponseWriter, r *http.Request) { w.(http.Flusher).Flush(); hang(w, r) },
	} {
		err := newHandler(t, post(serve(t, handle), map[string]any{"timeout": "50ms"})).Handle(t.Context(), newJob(`{}`))
		if verdict(err) != "retried" || !strings.HasSuffix(err.Error(), ": no whole answer within 50ms") {
			t.Errorf("%s: error %v, want a retry because time was up", name, err)
		}
	}
}

// unstorable are answers that are JSON, and more than a job can keep.
var unstorable = map[string]struct{ answer, warning string }{
	"as long as Postgres takes": {`"` + strings.Repeat("x", 1<<20-2) + `"`, ""},
	"too long for a result":     {`"` + strings.Repeat("x", 1<<20) + `"`, "result has 1048578 bytes, the limit is 1048576"},
	"too deep for Go":           {strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000), "result cannot be made JSON: "},
	"too deep and cut":          {strings.Repeat("[", 3<<20), "result has more than 2097152 bytes, the limit of "},
}

func TestAnAnswerThatCannotBeKeptIsAWarning(t *testing.T) {
	t.Parallel()
	for name, c := range unstorable {
		file := filepath.Join(t.TempDir(), "answer")
		if err := os.WriteFile(file, []byte(c.answer), 0o600); err != nil {
			t.Fatal(err)
		}
		for kind, handler := range map[string]understudy.Handler{
			"http": newHandler(t, post(serve(t, func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, file) }), map[string]any{"max_response_bytes": 2 << 20})),
			"exec": newHandler(t, map[string]any{"type": "exec", "command": []any{"cat", file}, "max_output_bytes": 2 << 20}),
		} {
			job := newJob(`{}`)
			if err := handler.Handle(t.Context(), job); err != nil || !strings.HasPrefix(job.Warning(), c.warning) || (job.Warning() == "") != (c.warning == "") {
				t.Errorf("%s, %s: error %v, warning %q, want %q", name, kind, err, job.Warning(), c.warning)
			}
			if (job.Result() != nil) != (c.warning == "") {
				t.Errorf("%s, %s: a result of %d bytes", name, kind, len(job.Result()))
			}
		}
	}
}

func TestASuccessCutShortIsRetried(t *testing.T) {
	t.Parallel()
	handler := newHandler(t, post(serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, `{}`)
	}), nil))
	job := newJob(`{}`)
	if err := handler.Handle(t.Context(), job); verdict(err) != "retried" || job.Result() != nil {
		t.Errorf("error %v, result %s; want a retry", err, job.Result())
	}
}

func TestConnectionsAreReusedAndEndWithTheEpoch(t *testing.T) {
	t.Parallel()
	var opened, open atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{}`) }))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			opened.Add(1)
			open.Add(1)
		case http.StateClosed:
			open.Add(-1)
		}
	}
	server.Start()
	defer server.Close()
	all, release, err := handlers.All(map[string]map[string]any{"k": post(server.URL, nil)}, place)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := all["k"].Handle(t.Context(), newJob(`{}`)); err != nil {
			t.Fatal(err)
		}
	}
	if opened.Load() != 1 || open.Load() != 1 {
		t.Errorf("%d connections opened and %d open after three jobs, want 1 and 1", opened.Load(), open.Load())
	}
	release()
	eventually(t, "no connection is open", func() bool { return open.Load() == 0 })
}
