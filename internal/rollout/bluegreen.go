package rollout

import (
	"context"
	"fmt"
	"slices"

	"github.com/understudy-worker/understudy/internal/pause"
)

// BlueGreen does to pods what Argo Rollouts' blue-green strategy does. One
// goroutine calls its methods. Unlike there, an undo does not pause in preview
// but goes on to active by itself.
type BlueGreen struct {
	controller
	history History
}

// NewBlueGreen returns a rollout without a revision.
func NewBlueGreen(o Options) *BlueGreen { return &BlueGreen{controller: newController(o)} }

// Active is the active revision, nil before the first. While another takes
// over, it is the old one until all is done.
func (b *BlueGreen) Active() *Revision { return b.history.Active() }

// Preview is the revision in preview, nil without one.
func (b *BlueGreen) Preview() *Revision { return b.history.Preview() }

// History is how far the rollout has come: a copy, on which steps can be tried.
func (b *BlueGreen) History() History {
	h := b.history
	h.before = slices.Clone(h.before)
	return h
}

// Deploy starts a revision: active from birth if it is the first, else in
// preview, where it stays until something is done with it. The one that was in
// preview loses its role and is scaled down.
func (b *BlueGreen) Deploy(ctx context.Context, rev *Revision) error {
	replaced := b.history.Deploy(rev)
	role := RolePreview
	if b.history.active == rev {
		role = RoleActive
	}
	set, err := b.birth(ctx, rev, role, b.options.Replicas)
	if err != nil {
		return err
	}
	if role == RoleActive {
		if err := b.route(ctx, RoleActive, set); err != nil {
			return err
		}
	}
	if err := b.route(ctx, RolePreview, set); err != nil {
		return err
	}
	if err := b.clear(ctx, RolePreview, rev); err != nil {
		return err
	}
	if replaced != nil {
		b.scaleDown(b.sets[replaced], b.options.ScaleDownDelay)
	}
	return nil
}

// Promote makes the revision in preview active. One that an undo took back is
// brought back first.
func (b *BlueGreen) Promote(ctx context.Context) (from, to *Revision, err error) {
	return b.do(ctx, (*History).Promote, b.options.PostPromotion)
}

// PromoteFull is Promote without the analysis.
func (b *BlueGreen) PromoteFull(ctx context.Context) (from, to *Revision, err error) {
	return b.do(ctx, (*History).Promote, nil)
}

// Undo makes the revision that was active before active again.
func (b *BlueGreen) Undo(ctx context.Context) (from, to *Revision, err error) {
	return b.do(ctx, (*History).Undo, b.options.PostPromotion)
}

// Abort gives up the revision in preview: its pods run on, with their label,
// until they are scaled down.
func (b *BlueGreen) Abort(ctx context.Context) (*Revision, error) {
	if err := b.pass(ctx); err != nil {
		return nil, err
	}
	rev, err := b.history.Abort()
	if err != nil {
		return nil, err
	}
	b.scaleDown(b.sets[rev], b.options.AbortScaleDownDelay)
	return rev, nil
}

// do does a step by which one revision takes over from another. It is history
// when it is done.
func (b *BlueGreen) do(ctx context.Context, step func(*History) (from, to *Revision, err error), analysis func(context.Context) error) (from, to *Revision, err error) {
	next := b.history
	if from, to, err = step(&next); err != nil {
		return nil, nil, err
	}
	if err := b.replace(ctx, from, to, analysis); err != nil {
		return from, to, err
	}
	b.history = next
	return from, to, nil
}

// replace lets one revision take over from another. The labels follow the
// Service: during the analysis the new pods serve it and are in preview still.
func (b *BlueGreen) replace(ctx context.Context, from, to *Revision, analysis func(context.Context) error) error {
	set, fast, err := b.audition(ctx, to)
	if err != nil {
		return err
	}
	if err := b.awaitReady(ctx, set); err != nil {
		return err
	}
	if err := b.route(ctx, RoleActive, set); err != nil {
		return err
	}
	if analysis != nil && !fast {
		if err := analysis(ctx); err != nil {
			return b.reject(ctx, from, to, err)
		}
	}
	return b.handOver(ctx, RoleActive, b.sets[from], set)
}

// audition sees that a revision's pods run and are in preview. Those that still
// run without a role are taken as they are: a fast rollback, without analysis,
// unless one of them is not ready. Otherwise there are new ones, which are born
// without a role.
func (b *BlueGreen) audition(ctx context.Context, rev *Revision) (set *replicaSet, fast bool, err error) {
	set = b.sets[rev]
	if set.role == RolePreview && set.end == nil {
		return set, false, nil
	}
	if b.keep(set) {
		fast = set.role == RoleNone && set.ready(ctx)
	} else if set, err = b.revive(ctx, rev); err != nil {
		return nil, false, err
	}
	if err := b.relabel(ctx, set, RolePreview); err != nil {
		return nil, false, err
	}
	return set, fast, b.route(ctx, RolePreview, set)
}

// revive makes the pods of a revision again that was scaled down.
func (b *BlueGreen) revive(ctx context.Context, rev *Revision) (*replicaSet, error) {
	set, err := b.birth(ctx, rev, RoleNone, b.options.Replicas)
	if err != nil {
		return nil, err
	}
	return set, pause.For(ctx, b.options.BirthDelay)
}

// reject is an abort because of the analysis: the Service goes back, and no
// label changes.
func (b *BlueGreen) reject(ctx context.Context, from, to *Revision, cause error) error {
	b.history.preview, b.history.undone = nil, nil
	if err := b.route(ctx, RoleActive, b.sets[from]); err != nil {
		return err
	}
	b.scaleDown(b.sets[to], b.options.AbortScaleDownDelay)
	return fmt.Errorf("version %s is given up after its analysis: %w", to.Version, cause)
}
