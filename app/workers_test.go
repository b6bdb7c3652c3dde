package app_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-worker/understudy/store"
)

func TestWorkersAreListedNewestFirstAndThoseThatLive(t *testing.T) {
	t.Parallel()
	s := migratedShell(t)
	lost, ended := s.hand(s.production, "pod-lost", ""), s.hand(s.production, "pod-ended", "aaa")
	s.exec("UPDATE {production}.workers SET lease_until = now() - interval '1 second' WHERE id = $1", lost.queue.Epoch())
	if err := ended.queue.End(t.Context()); err != nil {
		t.Fatal(err)
	}
	live := s.hand(s.production, "pod-live", "bbb")
	got := parsed[[]store.WorkerRow](s, "workers")
	pods := map[string]bool{}
	for _, w := range got {
		pods[w.Pod] = w.Live
	}
	if diff := cmp.Diff(map[string]bool{"pod-lost": false, "pod-ended": false, "pod-live": true}, pods); diff != "" {
		t.Errorf("live (-want +got):\n%s", diff)
	}
	if got[0].Pod != "pod-live" || got[2].Pod != "pod-lost" {
		t.Errorf("order: %+v", got)
	}
	alone := parsed[[]store.WorkerRow](s, "workers", "--live")
	if len(alone) != 1 || alone[0].ID != live.queue.Epoch() || alone[0].TemplateHash != "bbb" || alone[0].Version != "2.0" || alone[0].Role != "preview" {
		t.Errorf("live workers: %+v", alone)
	}
	if one := parsed[[]store.WorkerRow](s, "workers", "--limit=1"); len(one) != 1 {
		t.Errorf("%d workers, want 1", len(one))
	}
}

func TestTheTableOfWorkersSaysWhoLives(t *testing.T) {
	t.Parallel()
	s := migratedShell(t, "preview")
	hand := s.hand(s.preview, "pod-1", "")
	lines := strings.Split(strings.TrimSpace(s.ok("workers", "--target=preview")), "\n")
	if len(lines) != 2 {
		t.Fatalf("printed %q", lines)
	}
	got := strings.Fields(lines[1])
	want := []string{hand.queue.Epoch(), "pod-1", "2.0", "preview", "-", "serving", "yes"}
	if diff := cmp.Diff(want, got[:min(len(want), len(got))]); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
}
