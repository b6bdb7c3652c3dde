package dashboard_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/dashboard"
)

// statusOf decodes /api/status.
func statusOf(t *testing.T, got answer) map[string]any {
	t.Helper()
	if got.code != 200 || got.header.Get("Content-Type") != "application/json" || got.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("got %d %v %q", got.code, got.header, got.body)
	}
	var body map[string]any
	if err := json.Unmarshal([]byte(got.body), &body); err != nil {
		t.Fatal(err)
	}
	return body
}

func TestStatusOfAServingWorker(t *testing.T) {
	t.Parallel()
	o := options()
	o.Worker = func() *understudy.WorkerStatus { return &understudy.WorkerStatus{State: "serving", Claimed: 3} }
	o.Podinfo = func() dashboard.Podinfo {
		return dashboard.Podinfo{ReadAt: serving.Since, Rearms: 1, Watching: true, Labels: map[string]string{"role": "active"}}
	}
	want := map[string]any{
		"phase": "serving", "since": "2026-01-02T03:04:05Z", "epoch_since": "2026-01-02T03:04:05Z",
		"role": "active", "target": "production",
		"serving": map[string]any{"role": "active", "target": "production", "schema": "production", "version": "1.0"},
		"ready":   true, "reason": `serving target "production" as "active"`,
		"version": "1.0", "commit": "abc", "count": 42.0, "read_only": false,
		"worker": map[string]any{
			"state": "serving", "running": nil, "queues": nil, "claimed": 3.0, "recorded": nil,
			"unrecorded": 0.0, "fenced": 0.0, "abandoned": 0.0, "renewed_at": "0001-01-01T00:00:00Z",
		},
		"podinfo": map[string]any{"read_at": "2026-01-02T03:04:05Z", "rearms": 1.0, "watching": true, "labels": map[string]any{"role": "active"}},
	}
	if diff := cmp.Diff(want, statusOf(t, ask(handler(t, o), "GET", "/api/status"))); diff != "" {
		t.Error(diff)
	}
}

func TestStatusOfAWorkerThatCannotServe(t *testing.T) {
	t.Parallel()
	o := options()
	o.ReadOnly = true
	o.Status = func() understudy.Status {
		return understudy.Status{Phase: understudy.PhaseOpening, Since: serving.Since, Role: "active", Target: "production", Problem: "behind: migrate"}
	}
	want := map[string]any{
		"phase": "opening", "since": "2026-01-02T03:04:05Z", "role": "active", "target": "production", "serving": nil,
		"problem": "behind: migrate",
		"ready":   false, "reason": `target "production" is wanted as "active" and not served yet (opening)`,
		"version": "1.0", "commit": "abc", "count": 42.0, "read_only": true,
		"podinfo": map[string]any{"read_at": "0001-01-01T00:00:00Z", "rearms": 0.0, "watching": false},
	}
	if diff := cmp.Diff(want, statusOf(t, ask(handler(t, o), "GET", "/api/status"))); diff != "" {
		t.Error(diff)
	}
}

func TestStatusDecodesIntoTheDomainsOwnType(t *testing.T) {
	t.Parallel()
	var got understudy.Status
	if err := json.Unmarshal([]byte(ask(handler(t, options()), "GET", "/api/status").body), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(serving, got); diff != "" {
		t.Error(diff)
	}
}
