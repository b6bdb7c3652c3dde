package dashboard_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-worker/understudy"
)

func TestReadiness(t *testing.T) {
	t.Parallel()
	production := understudy.Place{Role: "active", Target: "production", Schema: "production"}
	preview := understudy.Place{Role: "preview", Target: "preview", Schema: "preview"}
	for name, test := range map[string]struct {
		status understudy.Status
		code   int
		why    string
	}{
		"before the first snapshot": {
			understudy.Status{Phase: understudy.PhaseStarting},
			503, "the pod files have not been read yet",
		},
		"idle without a role": {
			understudy.Status{Phase: understudy.PhaseIdle},
			200, "idle: the pod has no role",
		},
		"drains after its role was taken": {
			understudy.Status{Phase: understudy.PhaseDraining, Serving: production},
			200, "idle: the pod has no role",
		},
		"a role that maps to nothing": {
			understudy.Status{Phase: understudy.PhaseIdle, Role: "blue", Problem: `role "blue" maps to no target`},
			503, `role "blue" has no target to serve`,
		},
		"drains for a role that maps to nothing": {
			understudy.Status{Phase: understudy.PhaseDraining, Role: "blue", Serving: production},
			503, `role "blue" has no target to serve`,
		},
		"serves a listed target": {
			understudy.Status{Phase: understudy.PhaseServing, Role: "active", Target: "production", Serving: production},
			200, `serving target "production" as "active"`,
		},
		"cannot finish jobs of a listed target": {
			understudy.Status{
				Phase: understudy.PhaseServing, Role: "active", Target: "production", Serving: production,
				Stalled: "cannot record outcomes since 2026-01-02T03:04:05Z", Problem: "no route to db.internal",
			},
			503, `target "production" is served as "active", and jobs cannot be finished: cannot record outcomes since 2026-01-02T03:04:05Z`,
		},
		"cannot finish jobs of a target that is not listed": {
			understudy.Status{
				Phase: understudy.PhaseServing, Role: "preview", Target: "preview", Serving: preview,
				Stalled: "cannot record outcomes since 2026-01-02T03:04:05Z",
			},
			200, `serving target "preview" as "preview"`,
		},
		"serves a target that is not listed": {
			understudy.Status{Phase: understudy.PhaseServing, Role: "preview", Target: "preview", Serving: preview},
			200, `serving target "preview" as "preview"`,
		},
		"opens a listed target": {
			understudy.Status{Phase: understudy.PhaseOpening, Role: "active", Target: "production", Problem: "no route to db.internal"},
			503, `target "production" is wanted as "active" and not served yet (opening)`,
		},
		"opens a target that is not listed": {
			understudy.Status{Phase: understudy.PhaseOpening, Role: "preview", Target: "preview", Problem: "no route to db.internal"},
			200, `target "preview" is not served yet (opening), and http.ready_requires does not list it`,
		},
		"is refused a target that is not listed, for it is another's place": {
			understudy.Status{Phase: understudy.PhaseOpening, Role: "preview", Target: "preview", Refused: true, Problem: "one place at db.internal"},
			503, `target "preview" is the same place as another target, and must not be served`,
		},
		"drains another target for a listed one": {
			understudy.Status{Phase: understudy.PhaseDraining, Role: "active", Target: "production", Serving: preview},
			503, `target "production" is wanted as "active" and not served yet (draining)`,
		},
		"drains a listed target for one that is not listed": {
			understudy.Status{Phase: understudy.PhaseDraining, Role: "preview", Target: "preview", Serving: production},
			200, `target "preview" is not served yet (draining), and http.ready_requires does not list it`,
		},
		"drains a listed target for another role on it": {
			understudy.Status{Phase: understudy.PhaseDraining, Role: "stable", Target: "production", Serving: production},
			503, `target "production" is wanted as "stable" and not served yet (draining)`,
		},
		"still serves another target": {
			understudy.Status{Phase: understudy.PhaseServing, Role: "active", Target: "production", Serving: preview},
			503, `target "production" is wanted as "active" and not served yet (serving)`,
		},
		"rests after an epoch on a listed target failed": {
			understudy.Status{Phase: understudy.PhaseIdle, Role: "active", Target: "production"},
			503, `target "production" is wanted as "active" and not served yet (idle)`,
		},
		"pod files stay unreadable": {
			understudy.Status{Phase: understudy.PhaseIdle, Unreadable: true, Problem: "read pod directory: permission denied"},
			503, "the pod files cannot be read",
		},
		"pod files were never readable": {
			understudy.Status{Phase: understudy.PhaseStarting, Unreadable: true},
			503, "the pod files cannot be read",
		},
		"drains because pod files stay unreadable": {
			understudy.Status{Phase: understudy.PhaseDraining, Unreadable: true, Serving: production},
			503, "the pod files cannot be read",
		},
		"stopped": {
			understudy.Status{Phase: understudy.PhaseStopped},
			503, "stopped",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options()
			o.Status = func() understudy.Status { return test.status }
			ask(handler(t, o), "GET", "/health/ready").check(t, test.code, test.why)
		})
	}
}

func TestReadinessRequiresWhatIsListed(t *testing.T) {
	t.Parallel()
	opening := understudy.Status{Phase: understudy.PhaseOpening, Role: "preview", Target: "preview"}
	for _, test := range []struct {
		requires []string
		code     int
	}{
		{nil, 200},
		{[]string{"production"}, 200},
		{[]string{"production", "preview"}, 503},
	} {
		o := options()
		o.ReadyRequires = test.requires
		o.Status = func() understudy.Status { return opening }
		if got := ask(handler(t, o), "GET", "/health/ready"); got.code != test.code {
			t.Errorf("required %v: got %d %q, want %d", test.requires, got.code, got.body, test.code)
		}
	}
}

func TestLiveUntilTheLoopIsStuck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ticked := time.Now()
		o := options()
		o.Ticked = func() time.Time { return ticked }
		h := handler(t, o)
		time.Sleep(10 * time.Second)
		ask(h, "GET", "/health/live").check(t, 200, "the supervisor's loop goes round")
		time.Sleep(time.Second)
		ask(h, "GET", "/health/live").check(t, 503, "the supervisor's loop last went round 11s ago")
		ticked = time.Now()
		ask(h, "GET", "/health/live").check(t, 200, "the supervisor's loop goes round")
	})
}

func TestALoopThatIsYetToStartIsNotStuck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := options()
		o.Ticked = func() time.Time { return time.Unix(0, 0) }
		h := handler(t, o)
		ask(h, "GET", "/health/live").check(t, 200, "the supervisor's loop goes round")
		time.Sleep(11 * time.Second)
		ask(h, "GET", "/health/live").check(t, 503, "the supervisor's loop last went round 11s ago")
	})
}

func TestLiveInEveryPhase(t *testing.T) {
	t.Parallel()
	for _, phase := range []understudy.Phase{
		understudy.PhaseStarting, understudy.PhaseIdle, understudy.PhaseOpening,
		understudy.PhaseServing, understudy.PhaseDraining, understudy.PhaseStopped,
	} {
		o := options()
		o.Status = func() understudy.Status {
			return understudy.Status{Phase: phase, Role: "active", Target: "production", Problem: "the database is down", Unreadable: true}
		}
		ask(handler(t, o), "GET", "/health/live").check(t, 200, "the supervisor's loop goes round")
	}
}
