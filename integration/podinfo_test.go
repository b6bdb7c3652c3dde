package integration_test

import (
	"context"
	"testing"
	"time"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/internal/rollout"
)

// A volume of single keys has a raw value in each file, and an empty file for
// a label that is not there.
func TestLabelsAreFollowedInFilesOfTheirOwn(t *testing.T) {
	t.Parallel()
	th := onOneServer(t)
	r := revision("1.0")
	preview := th.previewOf(r)
	p, err := th.newPod("a", r.Version, r.Hash, previewOfRevision)
	th.do(err)
	p.single = true
	th.do(p.label(rollout.RoleNone))
	th.do(p.start())
	p.untilIdle()
	for _, role := range []string{rollout.RolePreview, rollout.RoleActive} {
		pl := map[string]*place{rollout.RolePreview: preview, rollout.RoleActive: th.production()}[role]
		th.do(p.SetRole(t.Context(), role))
		th.untilServes(p, pl, role)
		th.enqueue(pl, "effect", 20, 10*time.Millisecond)
		th.untilDone(pl)
	}
	th.do(p.SetRole(t.Context(), rollout.RoleNone))
	p.untilIdle()
	th.check()
}

// untilIdle waits until the pod's process says that it has nothing to do.
func (p *pod) untilIdle() {
	p.th.t.Helper()
	p.th.until(p.name+" is idle", func(ctx context.Context) bool { return p.phase(ctx) == understudy.PhaseIdle })
}
