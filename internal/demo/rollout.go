package demo

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// The values of the role label that a blue-green rollout gives.
const (
	roleActive  = "active"
	rolePreview = "preview"
	roleNone    = "" // the key is not there
)

// How long Argo Rollouts takes, measured on a cluster with v1.10: from the
// active Service's switch to the new pods' label, from there to the removal of
// the old pods' label, and from the birth of a pod of an old ReplicaSet, which
// has no role, to its preview label.
const (
	labelDelay  = 300 * time.Millisecond
	removeDelay = 100 * time.Millisecond
	birthDelay  = time.Second
)

// readyPoll is the pause between two looks at whether a pod is ready.
const readyPoll = 50 * time.Millisecond

// replica is what the rollout needs of a pod: each revision has one.
type replica interface {
	// setRole writes the role label; roleNone removes its key.
	setRole(ctx context.Context, role string) error
	// ready says whether the pod's readiness probe passes.
	ready(ctx context.Context) bool
	// terminate sends SIGTERM. It is called from a goroutine of its own.
	terminate()
}

// stage is where the pods of a rollout run.
type stage interface {
	// create makes a pod of a revision, with that role from birth.
	create(ctx context.Context, r *revision, role string) (replica, error)
	// route makes a Service lead to a pod. role says which: active or preview.
	route(role string, to replica)
}

// rollout does to pods what Argo Rollouts' blue-green strategy does, in its
// order and with its delays. One goroutine calls its methods. Unlike there, an
// undo does not pause in preview but goes on to active by itself.
type rollout struct {
	history
	stage          stage
	scaleDownDelay time.Duration
	cast           map[*revision]*member
	ends           sync.WaitGroup // scale-downs to come
}

func newRollout(s stage, scaleDownDelay time.Duration) *rollout {
	return &rollout{stage: s, scaleDownDelay: scaleDownDelay, cast: map[*revision]*member{}}
}

// deploy starts a revision: active from birth if it is the first, else in
// preview, where it stays until something is done with it. The one that was in
// preview loses its role and is scaled down.
func (r *rollout) deploy(ctx context.Context, rev *revision) error {
	replaced := r.history.deploy(rev)
	role := rolePreview
	if r.active == rev {
		role = roleActive
	}
	if err := r.birth(ctx, rev, role); err != nil {
		return err
	}
	if role == roleActive {
		r.stage.route(roleActive, r.cast[rev].replica)
	}
	r.stage.route(rolePreview, r.cast[rev].replica)
	if err := r.clearPreview(ctx, rev); err != nil {
		return err
	}
	if replaced != nil {
		r.scaleDown(replaced)
	}
	return nil
}

// clearPreview takes the preview label from all but one revision: the one that
// was replaced, and one that was aborted and still runs.
func (r *rollout) clearPreview(ctx context.Context, but *revision) error {
	for rev, m := range r.cast {
		if rev == but || m.role != rolePreview || m.ended.Load() {
			continue
		}
		if err := m.set(ctx, roleNone); err != nil {
			return err
		}
	}
	return nil
}

// promote makes the revision in preview active. One that an undo took back is
// brought back first.
func (r *rollout) promote(ctx context.Context) (from, to *revision, err error) {
	if from, to, err = r.history.promote(); err != nil {
		return nil, nil, err
	}
	return from, to, r.replace(ctx, from, to)
}

// undo makes the revision that was active before active again.
func (r *rollout) undo(ctx context.Context) (from, to *revision, err error) {
	if from, to, err = r.history.undo(); err != nil {
		return nil, nil, err
	}
	return from, to, r.replace(ctx, from, to)
}

// abort gives up the revision in preview: its pod runs on, with its label,
// until it is scaled down.
func (r *rollout) abort() (*revision, error) {
	rev, err := r.history.abort()
	if err != nil {
		return nil, err
	}
	r.scaleDown(rev)
	return rev, nil
}

// replace lets one revision take over from another. The label follows the
// Service, and for a moment both pods are active.
func (r *rollout) replace(ctx context.Context, from, to *revision) error {
	if err := r.audition(ctx, to); err != nil {
		return err
	}
	if err := r.awaitReady(ctx, to); err != nil {
		return err
	}
	r.stage.route(roleActive, r.cast[to].replica)
	if err := pause(ctx, labelDelay); err != nil {
		return err
	}
	if err := r.cast[to].set(ctx, roleActive); err != nil {
		return err
	}
	if err := pause(ctx, removeDelay); err != nil {
		return err
	}
	if err := r.cast[from].set(ctx, roleNone); err != nil {
		return err
	}
	r.scaleDown(from)
	return nil
}

// audition sees that a revision's pod runs and is in preview. One that still
// runs without a role is taken as it is, the fast rollback; otherwise there is
// a new one, which is born without a role.
func (r *rollout) audition(ctx context.Context, rev *revision) error {
	m := r.cast[rev]
	if m.role == rolePreview && m.end == nil {
		return nil
	}
	if !r.keep(m) {
		if err := r.birth(ctx, rev, roleNone); err != nil {
			return err
		}
		m = r.cast[rev]
		if err := pause(ctx, birthDelay); err != nil {
			return err
		}
	}
	if err := m.set(ctx, rolePreview); err != nil {
		return err
	}
	r.stage.route(rolePreview, m.replica)
	return nil
}

func (r *rollout) birth(ctx context.Context, rev *revision, role string) error {
	pod, err := r.stage.create(ctx, rev, role)
	if err != nil {
		return fmt.Errorf("start version %s: %w", rev.version, err)
	}
	r.cast[rev] = &member{replica: pod, role: role}
	return nil
}

// awaitReady waits until the revision's pod is ready: Argo Rollouts switches
// no Service to one that is not.
func (r *rollout) awaitReady(ctx context.Context, rev *revision) error {
	for !r.cast[rev].ready(ctx) {
		if err := pause(ctx, readyPoll); err != nil {
			return fmt.Errorf("wait until version %s is ready: %w", rev.version, err)
		}
	}
	return nil
}

// pause waits for d, or returns the cause of the context's end.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
