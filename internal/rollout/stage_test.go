package rollout

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/understudy-worker/understudy/internal/pause"
)

// fakeStage is a stage without processes: it writes down, with the time, what
// the rollout does to its pods.
type fakeStage struct {
	mu    sync.Mutex
	start time.Time
	notes []string
	born  map[string]int // pods so far, by version
	pods  map[string]*fakePod

	// What is set before the rollout: by pod, which is named by its version
	// and, from the second of a version on, its number.
	unready map[string]time.Duration // how long after its birth it is not ready
	lag     map[string]time.Duration // of its kubelet
	broken  map[string]error         // of its births and label writes
	signal  time.Duration            // that every SIGTERM takes
}

type fakePod struct {
	stage *fakeStage
	name  string
	born  time.Time
	down  time.Time // not ready before
}

func newFakeStage() *fakeStage {
	return &fakeStage{start: time.Now(), born: map[string]int{}, pods: map[string]*fakePod{}}
}

// again makes now time zero and forgets what was noted.
func (s *fakeStage) again() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.start, s.notes = time.Now(), nil
}

func (s *fakeStage) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notes = append(s.notes, fmt.Sprintf("%5.2f ", time.Since(s.start).Seconds())+fmt.Sprintf(format, args...))
}

// noted is what was noted.
func (s *fakeStage) noted() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.notes)
}

// sorted is what was noted, where what happened at the same time has no order.
func (s *fakeStage) sorted() []string { return slices.Sorted(slices.Values(s.noted())) }

func (s *fakeStage) add(version string) *fakePod {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := version
	if s.born[version]++; s.born[version] > 1 {
		name = fmt.Sprintf("%s/%d", version, s.born[version])
	}
	s.pods[name] = &fakePod{stage: s, name: name, born: time.Now()}
	return s.pods[name]
}

func (s *fakeStage) Create(_ context.Context, r *Revision, role string) (Replica, error) {
	p := s.add(r.Version)
	s.note("%s born %s", p.name, shown(role))
	return p, s.broken[p.name]
}

func (s *fakeStage) Route(role string, to []Replica) {
	var names []string
	for _, pod := range to {
		names = append(names, pod.(*fakePod).name)
	}
	slices.Sort(names) // they were born at the same time
	s.note("Service %s -> %s", role, cmp.Or(strings.Join(names, " "), "nobody"))
}

func (p *fakePod) SetRole(ctx context.Context, role string) error {
	if err := pause.For(ctx, p.stage.lag[p.name]); err != nil {
		return err
	}
	p.stage.note("%s %s", p.name, shown(role))
	return p.stage.broken[p.name]
}

func (p *fakePod) Ready(context.Context) bool {
	return time.Since(p.born) >= p.stage.unready[p.name] && !time.Now().Before(p.down)
}

func (p *fakePod) Terminate() {
	time.Sleep(p.stage.signal)
	p.stage.note("%s SIGTERM", p.name)
}

func shown(role string) string { return cmp.Or(role, "without a role") }

// revision is the revision of a version.
func revision(version string) *Revision { return &Revision{Version: version, Hash: "hash" + version} }

// play runs a test on a fake stage in a time of its own.
func play(t *testing.T, test func(t *testing.T, stage *fakeStage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newFakeStage()) })
}

// expect compares what was noted.
func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("what happened (-want +got):\n%s", diff)
	}
}
