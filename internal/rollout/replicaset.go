package rollout

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/understudy-worker/understudy/internal/pause"
)

// replicaSet is the pods of one revision, the last ones if they ended and were
// made again.
type replicaSet struct {
	revision *Revision
	pods     []Replica
	role     string // that the pods have, or are being given
	end      *ending
	ended    atomic.Bool // it was scaled down; shared with the ending
}

// ending is a scale-down that was asked for.
type ending struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when it has come, or was taken back
}

// ready says whether all pods are.
func (s *replicaSet) ready(ctx context.Context) bool {
	return !slices.ContainsFunc(s.pods, func(p Replica) bool { return !p.Ready(ctx) })
}

// scaleDown ends the pods after the delay.
func (c *controller) scaleDown(set *replicaSet, delay time.Duration) {
	ctx, cancel := context.WithCancel(context.Background()) // lasts longer than the step that asks for it
	end := &ending{cancel: cancel, done: make(chan struct{})}
	set.end = end
	go func() {
		defer close(end.done)
		defer cancel()
		if pause.For(ctx, delay) != nil || c.gate.pass(ctx) != nil {
			return
		}
		set.ended.Store(true)
		terminate(set.pods)
	}()
}

// keep takes a scale-down back. It returns false if it is too late.
func (c *controller) keep(set *replicaSet) bool {
	if set.end == nil {
		return true
	}
	set.end.cancel()
	<-set.end.done
	if set.ended.Load() {
		return false
	}
	set.end = nil
	return true
}

// Close takes back every scale-down that is to come and waits for those that
// are under way. The pods are the stage's to end.
func (c *controller) Close() {
	for _, set := range c.sets {
		c.keep(set)
	}
}

// terminate tells pods to end, all at once.
func terminate(pods []Replica) {
	var calls sync.WaitGroup
	for _, pod := range pods {
		calls.Go(pod.Terminate)
	}
	calls.Wait()
}
