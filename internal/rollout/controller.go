package rollout

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/understudy-worker/understudy/internal/pause"
)

// readyPoll is the pause between two looks at whether pods are ready.
const readyPoll = 50 * time.Millisecond

// controller is what both strategies do to pods.
type controller struct {
	gate
	options Options
	sets    map[*Revision]*replicaSet
}

func newController(o Options) controller {
	return controller{options: o.withDefaults(), sets: map[*Revision]*replicaSet{}}
}

// birth makes a revision's ReplicaSet, with that role from birth.
func (c *controller) birth(ctx context.Context, rev *Revision, role string, pods int) (*replicaSet, error) {
	set := &replicaSet{revision: rev, role: role}
	if err := c.grow(ctx, set, pods); err != nil {
		return nil, err
	}
	c.sets[rev] = set
	return set, nil
}

// grow adds pods to a ReplicaSet, all at once.
func (c *controller) grow(ctx context.Context, set *replicaSet, count int) error {
	if err := c.pass(ctx); err != nil {
		return err
	}
	pods := make([]Replica, count)
	var births errgroup.Group
	for i := range pods {
		births.Go(func() (err error) {
			pods[i], err = c.options.Stage.Create(ctx, set.revision, set.role)
			return err
		})
	}
	if err := births.Wait(); err != nil {
		return fmt.Errorf("start version %s: %w", set.revision.Version, err)
	}
	set.pods = append(set.pods, pods...)
	return nil
}

// route makes a Service lead to a ReplicaSet's pods.
func (c *controller) route(ctx context.Context, role string, to *replicaSet) error {
	if err := c.pass(ctx); err != nil {
		return err
	}
	c.options.Stage.Route(role, slices.Clone(to.pods))
	return nil
}

// label begins to write a role to a ReplicaSet's pods, each by itself: a slow
// kubelet delays no other pod. The caller waits for the writes.
func (c *controller) label(ctx context.Context, writes *errgroup.Group, set *replicaSet, role string) error {
	if err := c.pass(ctx); err != nil {
		return err
	}
	set.role = role
	for _, pod := range set.pods {
		writes.Go(func() error { return pod.SetRole(ctx, role) })
	}
	return nil
}

// relabel writes a role to a ReplicaSet's pods.
func (c *controller) relabel(ctx context.Context, set *replicaSet, role string) error {
	var writes errgroup.Group
	if err := c.label(ctx, &writes, set, role); err != nil {
		return err
	}
	return writes.Wait()
}

// clear takes a role from all revisions but one: the one that was replaced, and
// one that was given up and still runs.
func (c *controller) clear(ctx context.Context, role string, but *Revision) error {
	for rev, set := range c.sets {
		if rev == but || set.role != role || set.ended.Load() {
			continue
		}
		if err := c.relabel(ctx, set, RoleNone); err != nil {
			return err
		}
	}
	return nil
}

// handOver gives one ReplicaSet the role and takes it from another, which is
// scaled down. Neither change waits for the pods that the other one is slow to
// reach: so both may have the role for a while, or neither.
func (c *controller) handOver(ctx context.Context, role string, from, to *replicaSet) error {
	var writes errgroup.Group
	err := c.begin(ctx, &writes, []change{
		{to, role, c.options.LabelDelay},
		{from, RoleNone, max(0, c.options.LabelDelay+c.options.RemoveDelay)},
	})
	if err == nil {
		c.scaleDown(from, c.options.ScaleDownDelay)
	}
	return cmp.Or(writes.Wait(), err)
}

// change is a ReplicaSet's change of role, so long after its Service's.
type change struct {
	set   *replicaSet
	role  string
	after time.Duration
}

// begin begins each change when its time has come.
func (c *controller) begin(ctx context.Context, writes *errgroup.Group, changes []change) error {
	slices.SortStableFunc(changes, func(a, b change) int { return cmp.Compare(a.after, b.after) })
	var passed time.Duration
	for _, next := range changes {
		if err := pause.For(ctx, next.after-passed); err != nil {
			return err
		}
		if err := c.label(ctx, writes, next.set, next.role); err != nil {
			return err
		}
		passed = next.after
	}
	return nil
}

// awaitReady waits until a ReplicaSet's pods are ready, all of them: Argo
// Rollouts switches no Service before.
func (c *controller) awaitReady(ctx context.Context, set *replicaSet) error {
	for !set.ready(ctx) {
		if err := pause.For(ctx, readyPoll); err != nil {
			return fmt.Errorf("wait until version %s is ready: %w", set.revision.Version, err)
		}
	}
	return nil
}
