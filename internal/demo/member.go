package demo

import (
	"context"
	"sync/atomic"
	"time"
)

// member is the pod of one revision, the last one if it had several.
type member struct {
	replica
	role  string
	end   *time.Timer // its scale-down, nil while none was asked for
	ended atomic.Bool // it was scaled down; shared with the timer
}

// scaleDown ends the revision's pod after the delay.
func (r *rollout) scaleDown(rev *revision) {
	m := r.cast[rev]
	r.ends.Add(1)
	m.end = time.AfterFunc(r.scaleDownDelay, func() {
		defer r.ends.Done()
		m.ended.Store(true)
		m.terminate()
	})
}

// keep takes a scale-down back. It returns false if it is too late.
func (r *rollout) keep(m *member) bool {
	if m.end == nil {
		return true
	}
	if !m.end.Stop() {
		return false
	}
	r.ends.Done()
	m.end = nil
	return true
}

// close takes back every scale-down that is to come and waits for those that
// are under way.
func (r *rollout) close() {
	for _, m := range r.cast {
		r.keep(m)
	}
	r.ends.Wait()
}

// set changes the pod's role label.
func (m *member) set(ctx context.Context, role string) error {
	if err := m.setRole(ctx, role); err != nil {
		return err
	}
	m.role = role
	return nil
}
