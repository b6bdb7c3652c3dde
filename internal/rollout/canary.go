package rollout

import (
	"context"
	"fmt"
)

// Canary does to pods what Argo Rollouts' canary strategy does that routes
// traffic: the stable pods all run on until the canary has done its steps. One
// goroutine calls its methods.
type Canary struct {
	controller
	stable, canary *Revision
	step           int // the canary's
}

// NewCanary returns a rollout without a revision.
func NewCanary(o Options) *Canary { return &Canary{controller: newController(o)} }

// Stable is the stable revision, nil before the first.
func (c *Canary) Stable() *Revision { return c.stable }

// Canary is the revision whose steps are not done, nil without one.
func (c *Canary) Canary() *Revision { return c.canary }

// Deploy starts a revision: stable from birth if it is the first, else as the
// canary, with its first step's pods. The one that was the canary loses its
// role and is scaled down.
func (c *Canary) Deploy(ctx context.Context, rev *Revision) error {
	if err := c.checkSteps(); err != nil {
		return err
	}
	if c.stable == nil {
		return c.found(ctx, rev)
	}
	replaced := c.canary
	c.canary, c.step = rev, 0
	if _, err := c.birth(ctx, rev, RoleCanary, 0); err != nil {
		return err
	}
	if err := c.clear(ctx, RoleCanary, rev); err != nil {
		return err
	}
	if replaced != nil {
		c.scaleDown(c.sets[replaced], c.options.ScaleDownDelay)
	}
	_, err := c.advance(ctx)
	return err
}

// checkSteps refuses steps that the pods are too few for.
func (c *Canary) checkSteps() error {
	for i, pods := range c.options.Steps {
		if pods < 0 || pods > c.options.Replicas {
			return fmt.Errorf("step %d of the canary has %d pods: use 0 to %d, which is all replicas", i+1, pods, c.options.Replicas)
		}
	}
	return nil
}

// found starts the first revision.
func (c *Canary) found(ctx context.Context, rev *Revision) error {
	c.stable = rev
	set, err := c.birth(ctx, rev, RoleStable, c.options.Replicas)
	if err != nil {
		return err
	}
	if err := c.route(ctx, RoleStable, set); err != nil {
		return err
	}
	return c.route(ctx, RoleCanary, set)
}

// Promote ends the pause after a step: the next one follows or, after the last,
// the canary becomes the stable revision. Then it is done.
func (c *Canary) Promote(ctx context.Context) (done bool, err error) {
	if c.canary == nil {
		return false, Impossible("promote: there is no canary: make a new version first")
	}
	if err := c.awaitReady(ctx, c.sets[c.canary]); err != nil {
		return false, err
	}
	c.step++
	return c.advance(ctx)
}

// PromoteFull makes the canary the stable revision without the steps to come.
func (c *Canary) PromoteFull(ctx context.Context) error {
	if c.canary == nil {
		return Impossible("promote: there is no canary: make a new version first")
	}
	return c.finish(ctx)
}

// Abort gives up the canary: its pods run on, with their label, until they are
// scaled down. The stable ones never noticed.
func (c *Canary) Abort(ctx context.Context) (*Revision, error) {
	rev := c.canary
	if rev == nil {
		return nil, Impossible("abort: there is no canary")
	}
	if err := c.pass(ctx); err != nil {
		return nil, err
	}
	c.canary = nil
	c.scaleDown(c.sets[rev], c.options.AbortScaleDownDelay)
	return rev, nil
}

// advance does the canary's step, or what follows the last one.
func (c *Canary) advance(ctx context.Context) (done bool, err error) {
	if c.step < len(c.options.Steps) {
		return false, c.scale(ctx, c.options.Steps[c.step])
	}
	return true, c.finish(ctx)
}

// scale makes the canary that many pods. Those that are too many end at once.
func (c *Canary) scale(ctx context.Context, pods int) error {
	set := c.sets[c.canary]
	if err := c.grow(ctx, set, max(0, pods-len(set.pods))); err != nil {
		return err
	}
	terminate(set.pods[pods:])
	set.pods = set.pods[:pods]
	return c.route(ctx, RoleCanary, set)
}

// finish makes the canary the stable revision: only now do its pods' labels
// change.
func (c *Canary) finish(ctx context.Context) error {
	if err := c.scale(ctx, c.options.Replicas); err != nil {
		return err
	}
	from, to := c.sets[c.stable], c.sets[c.canary]
	if err := c.awaitReady(ctx, to); err != nil {
		return err
	}
	if err := c.route(ctx, RoleStable, to); err != nil {
		return err
	}
	if err := c.handOver(ctx, RoleStable, from, to); err != nil {
		return err
	}
	c.stable, c.canary = c.canary, nil
	return nil
}
