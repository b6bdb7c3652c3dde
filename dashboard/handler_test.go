package dashboard_test

import (
	"strings"
	"testing"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/dashboard"
)

func TestPlainTextIsOneLine(t *testing.T) {
	t.Parallel()
	h := handler(t, options())
	for path, want := range map[string]string{"/version": "1.0", "/role": "active", "/count": "42"} {
		ask(h, "GET", path).check(t, 200, want)
	}
}

func TestRoleOfAnIdleWorkerIsAnEmptyLine(t *testing.T) {
	t.Parallel()
	o := options()
	o.Status = func() understudy.Status { return understudy.Status{Phase: understudy.PhaseIdle} }
	ask(handler(t, o), "GET", "/role").check(t, 200, "")
}

func TestRoleIsThatOfThePodDuringADrain(t *testing.T) {
	t.Parallel()
	o := options()
	o.Status = func() understudy.Status {
		now := serving
		now.Phase, now.Role, now.Target = understudy.PhaseDraining, "preview", "preview"
		return now
	}
	ask(handler(t, o), "GET", "/role").check(t, 200, "preview")
}

func TestAnotherMethodIsRefusedAndTheRightOneNamed(t *testing.T) {
	t.Parallel()
	h := handler(t, options())
	for _, path := range []string{"/version", "/role", "/count", "/metrics", "/api/status", "/health/live", "/health/ready"} {
		for _, method := range []string{"POST", "PUT", "DELETE"} {
			got := ask(h, method, path)
			got.check(t, 405, "Method Not Allowed")
			if allow := got.header.Get("Allow"); allow != "GET, HEAD" {
				t.Errorf("%s %s: Allow is %q", method, path, allow)
			}
		}
		if got := ask(h, "HEAD", path); got.code != 200 {
			t.Errorf("HEAD %s: %d", path, got.code)
		}
	}
	got := ask(h, "GET", "/dummy")
	got.check(t, 405, "Method Not Allowed")
	if allow := got.header.Get("Allow"); allow != "POST" {
		t.Errorf("GET /dummy: Allow is %q", allow)
	}
}

func TestAnUnknownPathIsNotFound(t *testing.T) {
	t.Parallel()
	h := handler(t, options())
	for _, path := range []string{"/nothing", "/api", "/api/status/", "/version/x", "/health"} {
		ask(h, "GET", path).check(t, 404, "404 page not found")
		ask(h, "POST", path).check(t, 404, "404 page not found")
	}
}

func TestAPageOfAnotherSiteChangesNothing(t *testing.T) {
	t.Parallel()
	var enqueued recorder
	o := options()
	o.Enqueue = enqueued.enqueue
	h := handler(t, o)
	for name, headers := range map[string][]string{
		"cross-site": {"Sec-Fetch-Site", "cross-site"},
		"same-site":  {"Sec-Fetch-Site", "same-site"},
		"origin":     {"Origin", "https://evil.example"},
	} {
		got := ask(h, "POST", "/dummy", headers...)
		if got.code != 403 || !strings.Contains(got.body, "another site") {
			t.Errorf("%s: got %d %q", name, got.code, got.body)
		}
	}
	if enqueued.calls.Load() != 0 {
		t.Errorf("%d jobs were enqueued", enqueued.calls.Load())
	}
	if got := ask(h, "POST", "/dummy", "Sec-Fetch-Site", "same-origin"); got.code != 201 {
		t.Errorf("same-origin: got %d %q", got.code, got.body)
	}
	if got := ask(h, "GET", "/role", "Sec-Fetch-Site", "cross-site"); got.code != 200 {
		t.Errorf("a cross-site reading: got %d %q", got.code, got.body)
	}
}

func TestNothingIsCachedOrSniffed(t *testing.T) {
	t.Parallel()
	h := handler(t, options())
	for _, path := range []string{"/version", "/role", "/count", "/metrics", "/api/status", "/health/live", "/health/ready", "/nothing"} {
		got := ask(h, "GET", path)
		if got.header.Get("Cache-Control") != "no-store" || got.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: headers are %v", path, got.header)
		}
	}
}

func TestAMissingOptionIsNamed(t *testing.T) {
	t.Parallel()
	for field, forget := range map[string]func(*dashboard.Options){
		"Status":   func(o *dashboard.Options) { o.Status = nil },
		"Ticked":   func(o *dashboard.Options) { o.Ticked = nil },
		"Count":    func(o *dashboard.Options) { o.Count = nil },
		"Enqueue":  func(o *dashboard.Options) { o.Enqueue = nil },
		"Gatherer": func(o *dashboard.Options) { o.Gatherer = nil },
		"Log":      func(o *dashboard.Options) { o.Log = nil },
	} {
		o := options()
		forget(&o)
		if _, err := dashboard.New(o); err == nil || !strings.Contains(err.Error(), "Options."+field+" ") {
			t.Errorf("without %s: %v", field, err)
		}
	}
}

func TestTheRootListsWhatThereIsToAskFor(t *testing.T) {
	t.Parallel()
	got := ask(handler(t, options()), "GET", "/")
	for _, want := range []string{"GET  /health/ready", "POST /dummy", "GET  /metrics"} {
		if got.code != 200 || !strings.Contains(got.body, want) {
			t.Errorf("%d, and %q is not in: %s", got.code, want, got.body)
		}
	}
}
