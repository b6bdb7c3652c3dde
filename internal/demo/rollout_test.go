package demo

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fakeStage is a stage without processes: it writes down, with the time, what
// the rollout does to its pods.
type fakeStage struct {
	start time.Time

	mu      sync.Mutex // scale-downs come from goroutines of timers
	history []string

	unready map[string]time.Duration // how long after its birth a version's pod is not ready
}

type fakePod struct {
	stage   *fakeStage
	version string
	born    time.Time
}

func (s *fakeStage) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.history = append(s.history, fmt.Sprintf("%5.2f ", time.Since(s.start).Seconds())+fmt.Sprintf(format, args...))
}

func (s *fakeStage) create(_ context.Context, r *revision, role string) (replica, error) {
	s.note("%s born %s", r.version, shownRole(role))
	return &fakePod{s, r.version, time.Now()}, nil
}

func (s *fakeStage) route(role string, to replica) {
	s.note("Service %s -> %s", role, to.(*fakePod).version)
}

func (p *fakePod) setRole(_ context.Context, role string) error {
	p.stage.note("%s %s", p.version, shownRole(role))
	return nil
}

func (p *fakePod) ready(context.Context) bool {
	return time.Since(p.born) >= p.stage.unready[p.version]
}

func (p *fakePod) terminate() { p.stage.note("%s SIGTERM", p.version) }

// act is a thing that a test does with a rollout.
type act func(t *testing.T, r *rollout)

func deploy(version string) act {
	return func(t *testing.T, r *rollout) {
		if err := r.deploy(t.Context(), &revision{version: version, hash: "hash" + version}); err != nil {
			t.Fatal(err)
		}
	}
}

func promote(t *testing.T, r *rollout) {
	if _, _, err := r.promote(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func undo(t *testing.T, r *rollout) {
	if _, _, err := r.undo(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func abort(t *testing.T, r *rollout) {
	if _, err := r.abort(); err != nil {
		t.Fatal(err)
	}
}

func wait(d time.Duration) act {
	return func(*testing.T, *rollout) { time.Sleep(d) }
}

// start is two versions, as the demo begins, and then the acts from time zero.
func perform(t *testing.T, stage *fakeStage, acts ...act) []string {
	t.Helper()
	r := newRollout(stage, 30*time.Second)
	deploy("1")(t, r)
	deploy("2")(t, r)
	stage.start, stage.history = time.Now(), nil
	for _, a := range acts {
		a(t, r)
	}
	r.close()
	return stage.history
}

// The rows of the table of label histories, measured on a cluster with Argo
// Rollouts 1.10: see the package's comments on its delays.
func TestLabelsChangeAsArgoRolloutsChangesThem(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		acts    []act
		unready map[string]time.Duration
		want    []string
	}{
		"promoted: both are active, then the old role's key is gone, then SIGTERM": {
			acts: []act{promote, wait(time.Minute)},
			want: []string{
				" 0.00 Service active -> 2", " 0.30 2 active", " 0.40 1 without a role", "30.40 1 SIGTERM",
			},
		},
		"abort: preview until SIGTERM, the active one untouched": {
			acts: []act{abort, wait(time.Minute)},
			want: []string{"30.00 2 SIGTERM"},
		},
		"a third version replaces the second, which runs on without a role": {
			acts: []act{deploy("3"), wait(time.Minute)},
			want: []string{
				" 0.00 3 born preview", " 0.00 Service preview -> 3", " 0.00 2 without a role", "30.00 2 SIGTERM",
			},
		},
		"a third version after an abort takes the second's role": {
			acts: []act{abort, wait(10 * time.Second), deploy("3"), wait(time.Minute)},
			want: []string{
				"10.00 3 born preview", "10.00 Service preview -> 3", "10.00 2 without a role", "30.00 2 SIGTERM",
			},
		},
		"fast rollback: the old pod, still there without a role, is in preview for a moment": {
			acts: []act{promote, wait(5 * time.Second), undo, wait(time.Minute)},
			want: []string{
				" 0.00 Service active -> 2", " 0.30 2 active", " 0.40 1 without a role",
				" 5.40 1 preview", " 5.40 Service preview -> 1", " 5.40 Service active -> 1", " 5.70 1 active",
				" 5.80 2 without a role", "35.80 2 SIGTERM",
			},
		},
		"undo after the scale-down: born with no role for a second, preview, active": {
			acts: []act{promote, wait(time.Minute), undo, wait(time.Minute)},
			want: []string{
				" 0.00 Service active -> 2", " 0.30 2 active", " 0.40 1 without a role", "30.40 1 SIGTERM",
				"60.40 1 born without a role", "61.40 1 preview", "61.40 Service preview -> 1",
				"61.40 Service active -> 1", "61.70 1 active", "61.80 2 without a role", "91.80 2 SIGTERM",
			},
		},
		"promote after an undo brings back what was undone": {
			acts: []act{promote, undo, promote, wait(time.Minute)},
			want: []string{
				" 0.00 Service active -> 2", " 0.30 2 active", " 0.40 1 without a role",
				" 0.40 1 preview", " 0.40 Service preview -> 1", " 0.40 Service active -> 1", " 0.70 1 active", " 0.80 2 without a role",
				" 0.80 2 preview", " 0.80 Service preview -> 2", " 0.80 Service active -> 2", " 1.10 2 active", " 1.20 1 without a role",
				"31.20 1 SIGTERM",
			},
		},
		"no Service leads to a pod that is not ready, and no label says so": {
			acts:    []act{promote, wait(time.Minute)},
			unready: map[string]time.Duration{"2": 2 * time.Second},
			want: []string{
				" 2.00 Service active -> 2", " 2.30 2 active", " 2.40 1 without a role", "32.40 1 SIGTERM",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				got := perform(t, &fakeStage{start: time.Now(), unready: c.unready}, c.acts...)
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("history (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestTheFirstVersionIsActiveFromBirth(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stage := &fakeStage{start: time.Now()}
		r := newRollout(stage, time.Second)
		deploy("1")(t, r)
		want := []string{" 0.00 1 born active", " 0.00 Service active -> 1", " 0.00 Service preview -> 1"}
		if diff := cmp.Diff(want, stage.history); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
	})
}

func TestAClosedRolloutEndsNoPodAnyMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stage := &fakeStage{start: time.Now()}
		before := len(perform(t, stage, promote)) // which closes it
		time.Sleep(time.Hour)
		if got := stage.history[before:]; len(got) > 0 {
			t.Errorf("after its end: %v", got)
		}
	})
}

func TestAPauseThatIsCutShortSaysWhy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRollout(&fakeStage{start: time.Now(), unready: map[string]time.Duration{"2": time.Hour}}, time.Second)
		defer r.close()
		deploy("1")(t, r)
		deploy("2")(t, r)
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errQuit)
		defer cancel()
		_, _, err := r.promote(ctx)
		if want := "wait until version 2 is ready: quit"; err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	})
}

func TestWhatCannotBeDoneIsAnErrorAndChangesNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before func(h *history)
		do     func(h *history) error
	}{
		"promote with nothing in preview": {
			func(h *history) { _, _, _ = h.promote() },
			func(h *history) error { _, _, err := h.promote(); return err },
		},
		"promote after an abort": {
			func(h *history) { _, _ = h.abort() },
			func(h *history) error { _, _, err := h.promote(); return err },
		},
		"abort twice": {
			func(h *history) { _, _ = h.abort() },
			func(h *history) error { _, err := h.abort(); return err },
		},
		"undo with a version in preview": {
			func(*history) {},
			func(h *history) error { _, _, err := h.undo(); return err },
		},
		"undo with nothing promoted": {
			func(h *history) { _, _ = h.abort() },
			func(h *history) error { _, _, err := h.undo(); return err },
		},
		"undo further back than the first": {
			func(h *history) { _, _, _ = h.promote(); _, _, _ = h.undo() },
			func(h *history) error { _, _, err := h.undo(); return err },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := &history{}
			h.deploy(&revision{version: "1"})
			h.deploy(&revision{version: "2"})
			c.before(h)
			was := *h
			if err := c.do(h); err == nil {
				t.Error("it was done")
			}
			if diff := cmp.Diff(was, *h, cmp.AllowUnexported(history{}, revision{})); diff != "" {
				t.Errorf("history changed (-was +is):\n%s", diff)
			}
		})
	}
}
