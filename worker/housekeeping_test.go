package worker

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-worker/understudy"
)

func TestAScheduledJobStartsWhenItIsDue(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		due := time.Now().Add(7654 * time.Millisecond)
		id := q.enqueueJobs(1, understudy.Job{Kind: "work", Queue: "default", ScheduledAt: due})
		s := start(t, q, 1, nothing, func(o *Options) { o.PollInterval = time.Minute })
		time.Sleep(10 * time.Second)
		if row := q.row(id); row.state != understudy.StateCompleted || !row.doneAt.Equal(due) {
			t.Errorf("job is %s since %s, want completed at %s, when it was due", row.state, row.doneAt, due)
		}
		s.drained()
	})
}

func TestJobsArePromotedAtThePollInterval(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		s := start(t, q, 1, nothing, nil)
		time.Sleep(time.Minute)
		if n := len(q.made("promote")); n < 52 || n > 69 {
			t.Errorf("%d promotions in a minute, want about 60", n)
		}
		s.drained()
	})
}

func TestARetriedJobRunsAgainAfterItsBackoff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		id := q.enqueueJobs(1, understudy.Job{Kind: "work", Queue: "default", MaxAttempts: 3})
		s := start(t, q, 1, fails, nil)
		time.Sleep(time.Minute)
		row := q.row(id)
		if row.state != understudy.StateDiscarded || row.job.Attempt != 3 {
			t.Errorf("job is %s after attempt %d, want discarded after 3", row.state, row.job.Attempt)
		}
		wantTime(t, "the job was given up", row.doneAt.Sub(s.begun), 3*time.Second, 620*time.Millisecond)
		s.drained()
	})
}

func TestLostWorkersAreLookedForSoonAndAsOftenAsTheLeaseIsRenewed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		s := start(t, q, 1, nothing, nil)
		time.Sleep(time.Second)
		if len(q.made("rescue")) == 0 {
			t.Error("nobody looked for lost workers in the first second")
		}
		time.Sleep(10 * q.lease)
		if n := len(q.made("rescue")); n < 52 || n > 68 {
			t.Errorf("%d rescues in ten leases, want about 60", n)
		}
		s.drained()
	})
}

func TestFinishedJobsArePrunedEachMinute(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		s := start(t, q, 1, nothing, nil)
		time.Sleep(30 * time.Minute)
		if n := len(q.made("prune")); n < 24 || n > 34 {
			t.Errorf("%d prunings in 30 minutes", n)
		}
		s.drained()
	})
}

func TestHousekeepingThatFailsIsComplainedOfNowAndThen(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.downFrom(time.Now(), time.Millisecond, "promote rescue prune reconcile")
		q.enqueue(1)
		s := start(t, q, 1, nothing, nil)
		time.Sleep(10 * time.Minute)
		s.want(understudy.StateCompleted, 1)
		for _, doing := range []string{"promote scheduled jobs", "rescue jobs", "prune finished jobs", "reconcile claims"} {
			if n := s.log.lines("level=WARN", "cannot "+doing); n < 5 || n > 62 {
				t.Errorf("%d complaints in 10 minutes: cannot %s", n, doing)
			}
		}
		if n := len(q.made("promote")); n > 250 {
			t.Errorf("%d promotions in 10 minutes of failures", n)
		}
		s.drained()
	})
}

func TestADrainingWorkerKeepsNoHouse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.enqueue(1)
		s := start(t, q, 1, sleeper(19*time.Second), nil)
		time.Sleep(time.Second)
		demoted := time.Now()
		s.drained()
		for _, name := range []string{"claim", "promote", "rescue", "prune"} {
			for _, c := range q.made(name) {
				if c.at.After(demoted) {
					t.Errorf("%s %s after the demotion", name, c.at.Sub(demoted))
				}
			}
		}
	})
}

func TestABrokenListenerConnectsAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		broken := false
		q.reply = func(call string) error {
			if call == "listen" && !broken {
				broken = true
				return errServer
			}
			return nil
		}
		s := start(t, q, 1, nothing, func(o *Options) { o.PollInterval = time.Hour })
		time.Sleep(time.Second)
		q.notify() // is lost with the connection
		synctest.Wait()
		q.enqueue(1)
		time.Sleep(200 * time.Millisecond)
		s.want(understudy.StateCompleted, 1)
		if n := len(q.made("listen")); n != 2 {
			t.Errorf("%d connections, want 2", n)
		}
		s.drained()
	})
}

func TestAListenerThatCannotConnectBacksOff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.downFrom(time.Now(), time.Millisecond, "listen")
		s := start(t, q, 1, nothing, nil)
		time.Sleep(10 * time.Minute)
		if n := len(q.made("listen")); n < 100 || n > 260 {
			t.Errorf("%d tries in 10 minutes", n)
		}
		s.drained()
	})
}

func TestHousekeepingThatFailsShowsInTheStatusUntilItSucceeds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for _, task := range []string{TaskPromote, TaskRescue, TaskPrune} {
			q := newFakeQueue()
			broken := true
			q.reply = func(call string) error {
				if call == task && broken {
					return errServer
				}
				return nil
			}
			seen := &houseObserver{kept: map[string]int{}}
			s := start(t, q, 1, nothing, func(o *Options) { o.Observer = seen })
			time.Sleep(10 * time.Minute)
			failing := s.worker.Status().Failing
			tries := len(q.made(task))
			if len(failing) != 1 || failing[0].Task != task || failing[0].Error != errServer.Error() || failing[0].Failures != tries ||
				failing[0].Since.Sub(s.begun) > 2*time.Minute {
				t.Errorf("%s failed %d times; failing are %+v", task, tries, failing)
			}
			if seen.count(task, false) != tries || seen.count(task, true) != 0 {
				t.Errorf("the observer was told of %d failures and %d successes of %s, want %d and 0", seen.count(task, false), seen.count(task, true), task, tries)
			}
			q.mu.Lock()
			broken = false
			q.mu.Unlock()
			time.Sleep(10 * time.Minute)
			if failing := s.worker.Status().Failing; len(failing) != 0 {
				t.Errorf("%s succeeds; failing are %+v", task, failing)
			}
			if seen.count(task, true) == 0 {
				t.Errorf("the observer was told of no success of %s", task)
			}
			s.drained()
		}
	})
}

// houseObserver counts the tries of housekeeping.
type houseObserver struct {
	NoObserver
	mu   sync.Mutex
	kept map[string]int
}

func (o *houseObserver) Housekept(task string, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.kept[fmt.Sprint(task, err == nil)]++
}

func (o *houseObserver) count(task string, ok bool) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.kept[fmt.Sprint(task, ok)]
}
