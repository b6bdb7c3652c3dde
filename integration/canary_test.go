package integration_test

import (
	"testing"

	"github.com/understudy-worker/understudy/internal/rollout"
)

func TestACanaryWorksInPreviewUntilAllItsStepsAreDone(t *testing.T) {
	t.Parallel()
	inBothLayouts(t, func(s *stage) {
		c := &canary{s, rollout.NewCanary(rollout.Options{
			Stage: s, Replicas: replicas, Steps: []int{1, 2}, ScaleDownDelay: runOn, AbortScaleDownDelay: runOn,
		})}
		t.Cleanup(c.Close)
		c.deploy("1.0")
		c.stable("1.0")
		c.deploy("2.0")
		c.stepped("1.0", "2.0", 1)
		c.next(false)
		c.stepped("1.0", "2.0", 2)
		c.next(true)
		c.Freeze()
		c.stable("2.0")
		c.idle("1.0")
		c.Thaw()
		c.ended("1.0")
		c.had("2.0", "canary", "stable")
		c.aborted()
	})
}

// canary is a canary rollout on a stage.
type canary struct {
	*stage
	*rollout.Canary
}

func (c *canary) deploy(version string) {
	c.t.Helper()
	c.do(c.Deploy(c.t.Context(), revision(version)))
}

// next ends the pause after a step.
func (c *canary) next(last bool) {
	c.t.Helper()
	if done, err := c.Promote(c.t.Context()); err != nil || done != last {
		c.t.Fatalf("promoted: done %v, error %v, want done %v", done, err, last)
	}
}

// stable waits until a version works in production, alone.
func (c *canary) stable(version string) {
	c.t.Helper()
	c.works(c.production(), version, rollout.RoleStable, replicas)
}

// stepped: so many pods of the canary work in preview, and none in production.
func (c *canary) stepped(old, next string, pods int) {
	c.t.Helper()
	c.works(c.preview(), next, rollout.RoleCanary, pods)
	c.stable(old)
}

// aborted: the canary runs on in preview until it is scaled down.
func (c *canary) aborted() {
	c.t.Helper()
	c.deploy("3.0")
	c.stepped("2.0", "3.0", 1)
	_, err := c.Abort(c.t.Context())
	c.do(err)
	c.Freeze()
	c.stepped("2.0", "3.0", 1)
	c.Thaw()
	c.ended("3.0")
	c.had("3.0", "canary")
	c.nobody(c.preview())
	c.stable("2.0")
}
