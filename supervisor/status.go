package supervisor

import (
	"errors"
	"sync"
	"time"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/reload"
)

// status is the process's status, for anyone to copy.
type status struct {
	mu  sync.Mutex
	now understudy.Status
	// obstacle is why obstacleTarget could not be served when it was last tried.
	obstacle       error
	obstacleTarget reload.Target
}

func (s *status) get() understudy.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// set changes the status; a new phase begins now.
func (s *status) set(change func(now *understudy.Status)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.now.Phase
	change(&s.now)
	if s.now.Phase != before {
		s.now.Since = time.Now()
	}
}

// problem notes what keeps a target from being opened.
func (s *status) problem(target reload.Target, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.obstacle, s.obstacleTarget = why, target
	if s.now.Target == target.Name {
		s.now.Problem, s.now.Refused = why.Error(), isRefusal(why)
	}
}

// clear forgets what kept a target from being served.
func (s *status) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.obstacle, s.obstacleTarget = nil, reload.Target{}
}

// isRefusal says whether a target is not to be served as it is configured.
func isRefusal(err error) bool {
	var found *SamePlaceError
	return errors.As(err, &found) && found.Refused
}

// Obstacle is why the target that is wanted could not be served when it was last
// tried; empty once its work has gone well.
func (s *Supervisor) Obstacle() string {
	s.status.mu.Lock()
	defer s.status.mu.Unlock()
	if s.status.obstacle == nil || s.status.obstacleTarget.Name != s.status.now.Target {
		return ""
	}
	return OneLine(s.status.obstacle)
}

// report brings the status up to date with the run.
func (r *run) report() {
	wanted := r.wanted
	r.status.set(func(now *understudy.Status) {
		now.Phase = r.phase()
		now.Role, now.Target = wanted.Role, wanted.Target.Name
		now.Problem, now.Unreadable, now.Refused = wanted.Problem, wanted.Unreadable, false
		switch {
		case now.Phase == understudy.PhaseOpening && r.status.obstacle != nil && r.status.obstacleTarget == wanted.Target:
			now.Problem, now.Refused = r.status.obstacle.Error(), isRefusal(r.status.obstacle)
		case now.Phase == understudy.PhaseServing && r.epoch.place.notice != nil:
			now.Problem = r.epoch.place.notice.Error()
		}
		now.Serving, now.EpochSince = understudy.Place{}, time.Time{}
		if r.epoch != nil {
			now.Serving, now.EpochSince = r.epoch.env.Place(), r.epoch.since
		}
	})
}

func (r *run) phase() understudy.Phase {
	switch {
	case r.epoch != nil && r.epoch.drained.IsZero():
		return understudy.PhaseServing
	case r.epoch != nil:
		return understudy.PhaseDraining
	case r.opening != nil || r.ready != nil:
		return understudy.PhaseOpening
	case !r.known:
		return understudy.PhaseStarting
	}
	return understudy.PhaseIdle
}
