// Package rollout plays Argo Rollouts: it gives pods the labels that Argo
// gives, in its order and with its delays, without a cluster. What the pods are
// and where they run is up to a Stage.
package rollout

import (
	"cmp"
	"context"
	"time"
)

// The values of the role label: those of a blue-green rollout, and those of a
// canary. The Services are called after them.
const (
	RoleActive  = "active"
	RolePreview = "preview"
	RoleStable  = "stable"
	RoleCanary  = "canary"
	RoleNone    = "" // the key is not there
)

// How long Argo Rollouts takes, measured on a cluster with v1.10: from the
// Service's switch to the new pods' label, from there to the removal of the old
// pods' label, and from the birth of a pod of an old ReplicaSet, which has no
// role, to its preview label.
const (
	labelDelay  = 300 * time.Millisecond
	removeDelay = 100 * time.Millisecond
	birthDelay  = time.Second
)

// Revision is one version of the worker as a rollout knows it.
type Revision struct {
	Version string
	Hash    string // the pods' label rollouts-pod-template-hash
}

// Replica is what a rollout needs of a pod.
type Replica interface {
	// SetRole writes the role label; RoleNone removes its key. It returns when
	// the pod's file has it: how far its kubelet lags is the pod's own affair.
	SetRole(ctx context.Context, role string) error
	// Ready says whether the pod's readiness probe passes.
	Ready(ctx context.Context) bool
	// Terminate sends SIGTERM, and does not wait for the end. It is called from
	// a goroutine of its own, maybe while SetRole is under way.
	Terminate()
}

// Stage is where the pods of a rollout run.
type Stage interface {
	// Create makes a pod of a revision, with that role from birth. Those of one
	// revision are made at the same time.
	Create(ctx context.Context, r *Revision, role string) (Replica, error)
	// Route makes the Service of a role lead to these pods, ready or not.
	Route(role string, to []Replica)
}

// Options are what a rollout needs.
type Options struct {
	Stage Stage
	// Replicas is how many pods a revision has, 0 for one.
	Replicas int
	// ScaleDownDelay is how long pods that lost their role run on, and
	// AbortScaleDownDelay those that were given up. 0 is not at all.
	ScaleDownDelay, AbortScaleDownDelay time.Duration
	// LabelDelay is the time from the Service's switch to the new pods' label,
	// and RemoveDelay from there to the removal of the old pods' one: a long one
	// makes versions overlap, and with a negative one the old pods lose their
	// role before the new ones have it. BirthDelay is how long pods that an undo
	// brings back have no role. 0 is what Argo Rollouts takes.
	LabelDelay, RemoveDelay, BirthDelay time.Duration
	// PostPromotion is a blue-green rollout's analysis after the active
	// Service's switch, nil without one. Its error gives the new version up.
	PostPromotion func(ctx context.Context) error
	// Steps are a canary rollout's: how many canary pods each has. After each
	// it pauses.
	Steps []int
}

// withDefaults are the options with Argo Rollouts' own where none are given.
func (o Options) withDefaults() Options {
	o.Replicas = cmp.Or(o.Replicas, 1)
	o.LabelDelay = cmp.Or(o.LabelDelay, labelDelay)
	o.RemoveDelay = cmp.Or(o.RemoveDelay, removeDelay)
	o.BirthDelay = cmp.Or(o.BirthDelay, birthDelay)
	return o
}
