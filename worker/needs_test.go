package worker

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-worker/understudy"
)

// failing makes these calls fail while it is set.
func (q *fakeQueue) failing(calls string) *atomic.Bool {
	down := &atomic.Bool{}
	q.before = func(_ context.Context, call string) error {
		if down.Load() && strings.Contains(calls, call) {
			return errServer
		}
		return nil
	}
	return down
}

// obstacle expects that there is one, or none for "".
func (s *session) obstacle(doing string) understudy.Obstacle {
	s.t.Helper()
	all := s.worker.Status().Obstacles
	if doing == "" {
		if len(all) != 0 {
			s.t.Errorf("obstacles are %+v, want none", all)
		}
		return understudy.Obstacle{}
	}
	if len(all) != 1 || all[0].Doing != doing {
		s.t.Fatalf("obstacles are %+v, want one: %s", all, doing)
	}
	return all[0]
}

func TestNothingIsClaimedWhileOutcomesCannotBeWritten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		down := q.failing("record ask")
		q.enqueue(1)
		s := start(t, q, 5, nothing, nil)
		down.Store(true)
		time.Sleep(time.Second)
		since := s.obstacle("record outcomes").Since
		q.enqueue(100)
		q.notify()
		time.Sleep(10 * time.Minute)
		s.want(understudy.StateAvailable, 100)
		if now := s.obstacle("record outcomes"); !now.Since.Equal(since) || now.Error != errServer.Error() {
			t.Errorf("the obstacle is %+v, want it since %s", now, since)
		}
		down.Store(false)
		time.Sleep(10 * time.Second)
		s.want(understudy.StateCompleted, 101)
		s.obstacle("")
		s.drained()
	})
}

func TestAWorkerThatHasNoOutcomesFindsOutThatItCouldNotWriteThem(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		down := q.failing("record ask")
		s := start(t, q, 5, nothing, nil)
		time.Sleep(time.Minute)
		s.claimsNothingWhile(q, down, "record outcomes")
	})
}

// claimsNothingWhile sees that the session claims nothing while something is down
// that no call for a job tells of, says so, and works and drains afterwards.
func (s *session) claimsNothingWhile(q *fakeQueue, down *atomic.Bool, obstacle string) {
	s.t.Helper()
	down.Store(true)
	time.Sleep(q.lease / renewals * 2)
	q.enqueue(5)
	q.notify()
	time.Sleep(time.Minute)
	s.want(understudy.StateAvailable, 5)
	s.obstacle(obstacle)
	down.Store(false)
	time.Sleep(10 * time.Second)
	s.want(understudy.StateCompleted, 5)
	s.drained()
}

func TestAWriteThatIsNotAnsweredHoldsUpClaims(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		answer := make(chan struct{})
		q.before = func(_ context.Context, call string) error {
			if call == "record" {
				<-answer
			}
			return nil
		}
		q.enqueue(1)
		s := start(t, q, 5, nothing, nil)
		time.Sleep(patience(q.lease) + q.lease/renewals*2)
		q.enqueue(5)
		q.notify()
		time.Sleep(5 * time.Second)
		s.want(understudy.StateAvailable, 5)
		if o := s.obstacle("record outcomes"); o.Since.Sub(s.begun) > time.Second {
			t.Errorf("it is an obstacle since %s after the start", o.Since.Sub(s.begun))
		}
		close(answer)
		time.Sleep(5 * time.Second)
		s.want(understudy.StateCompleted, 6)
		s.obstacle("")
		s.drained()
	})
}

func TestNothingIsClaimedWhileTheLeaseCannotBeRenewed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		down := q.failing("renew")
		s := start(t, q, 5, nothing, nil)
		down.Store(true)
		time.Sleep(q.lease / renewals * 2)
		q.enqueue(5)
		q.notify()
		time.Sleep(5 * time.Second)
		s.want(understudy.StateAvailable, 5)
		s.obstacle("renew the lease")
		down.Store(false)
		time.Sleep(5 * time.Second)
		s.want(understudy.StateCompleted, 5)
		s.drained()
	})
}

func TestNothingIsBegunWithoutWhatHandlersNeed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.enqueue(1)
		full := errors.New("the server is full")
		s := start(t, q, 5, nothing, func(o *Options) { o.Check = func(context.Context) error { return full } })
		if err := s.ended(); !errors.Is(err, full) {
			t.Errorf("Run returned %v, want %v", err, full)
		}
		s.want(understudy.StateAvailable, 1)
		if n := len(q.made("open")); n != 0 {
			t.Error("the epoch was opened")
		}
	})
}

func TestNothingIsClaimedWhileWhatHandlersNeedIsGone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		var down atomic.Bool
		s := start(t, q, 5, nothing, func(o *Options) {
			o.Check = func(context.Context) error {
				if down.Load() {
					return errServer
				}
				return nil
			}
		})
		synctest.Wait()
		s.claimsNothingWhile(q, &down, "have a session for handlers")
	})
}

func TestClaimsThatFailAreAnObstacleAndDoNotHoldThemselvesUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		down := q.failing("claim")
		down.Store(true)
		q.enqueue(5)
		s := start(t, q, 5, nothing, nil)
		time.Sleep(time.Minute)
		s.obstacle("claim jobs of queue default")
		down.Store(false)
		time.Sleep(10 * time.Second)
		s.want(understudy.StateCompleted, 5)
		s.obstacle("")
		s.drained()
	})
}
