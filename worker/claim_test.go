package worker

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-worker/understudy"
)

func TestALoneJobIsNotDelayed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		s := start(t, q, 10, nothing, nil)
		time.Sleep(12345 * time.Millisecond)
		enqueued := time.Now()
		id := q.enqueue(1)
		q.notify()
		synctest.Wait()
		if row := q.row(id); row.state != understudy.StateCompleted || !row.doneAt.Equal(enqueued) {
			t.Errorf("job is %s at %s, want completed at %s, when it was enqueued", row.state, row.doneAt, enqueued)
		}
		s.drained()
	})
}

func TestAWorkerLooksAtItsQueueAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.enqueue(10)
		s := start(t, q, 10, nothing, nil)
		synctest.Wait()
		s.want(understudy.StateCompleted, 10)
		s.drained()
	})
}

func TestConcurrencyIsNeverExceeded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.enqueue(500)
		q.enqueueJobs(500, understudy.Job{Kind: "work", Queue: "mail", MaxAttempts: 1})
		var running, most [2]atomic.Int64
		s := start(t, q, 7, func(_ context.Context, job *understudy.Job) error {
			n := 0
			if job.Queue == "mail" {
				n = 1
			}
			if now := running[n].Add(1); now > most[n].Load() {
				most[n].Store(now)
			}
			time.Sleep(rand.N(300 * time.Millisecond))
			running[n].Add(-1)
			return nil
		}, func(o *Options) { o.Queues["mail"] = 3 })
		time.Sleep(5 * time.Minute)
		if got := [2]int64{most[0].Load(), most[1].Load()}; got != [2]int64{7, 3} {
			t.Errorf("at most %v jobs ran at a time, want exactly 7 and 3", got)
		}
		s.want(understudy.StateCompleted, 1000)
		s.drained()
	})
}

func TestAnIdleQueueIsPolledAtTheInterval(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		s := start(t, q, 10, nothing, func(o *Options) { o.PollInterval = 2 * time.Second })
		time.Sleep(2 * time.Minute)
		if n := len(q.made("claim")); n < 54 || n > 69 {
			t.Errorf("%d claims in 2 minutes, want about 60", n)
		}
		s.drained()
	})
}

func TestAJobOfAnUnnotifiedEnqueueWaitsOnePollInterval(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		s := start(t, q, 1, nothing, nil)
		time.Sleep(10 * time.Second)
		enqueued := time.Now()
		id := q.enqueue(1)
		time.Sleep(1100*time.Millisecond + 1)
		if row := q.row(id); row.state != understudy.StateCompleted || row.doneAt.Sub(enqueued) > 1100*time.Millisecond {
			t.Errorf("job is %s, %s after it was enqueued", row.state, row.doneAt.Sub(enqueued))
		}
		s.drained()
	})
}

func TestAFullClaimIsFollowedAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.enqueue(3000)
		s := start(t, q, 10, nothing, nil)
		synctest.Wait()
		s.want(understudy.StateCompleted, 3000)
		s.drained()
	})
}

func TestAfterAClaimOfWhatOthersAreAtTheNextIsSoonAndThenLater(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		var claims []time.Duration // since the first
		q.others = func() bool {
			now := time.Since(q.made("claim")[0].at)
			claims = append(claims, now)
			return now < 200*time.Millisecond
		}
		s := start(t, q, 10, nothing, nil)
		time.Sleep(5 * time.Second)
		s.drained()
		if claims[1] > 6*time.Millisecond || len(claims) < 9 || len(claims) > 13 {
			t.Errorf("claims at %v: want one after 5 ms, twice as long to each for 200 ms, and then one every second", claims)
		}
	})
}

func TestAClaimThatBroughtSomeIsFollowedWhenOneIsDone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		s := start(t, q, 10, sleeper(300*time.Millisecond), func(o *Options) { o.PollInterval = time.Hour })
		synctest.Wait()
		q.enqueue(1)
		q.notify()
		time.Sleep(100 * time.Millisecond)
		q.enqueue(1) // nobody is notified
		time.Sleep(600 * time.Millisecond)
		s.want(understudy.StateCompleted, 2)
		s.drained()
	})
}

func TestClaimsAreLargeUnderLoad(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.before = func(ctx context.Context, _ string) error {
			sleep(ctx, 2*time.Millisecond)
			return nil
		}
		q.enqueue(30_000)
		s := start(t, q, 50, sleeper(100*time.Microsecond), nil)
		time.Sleep(500 * time.Millisecond)
		s.want(understudy.StateCompleted, 30_000)
		if n := len(q.made("claim")); n > 25 {
			t.Errorf("%d claims for 30,000 quick jobs, want them large", n)
		}
		s.drained()
	})
}

func TestSlowHandlersAreNotClaimedAheadFor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.enqueue(100)
		s := start(t, q, 5, sleeper(time.Second), nil)
		for range 15 {
			time.Sleep(990 * time.Millisecond)
			if n := q.states()[understudy.StateRunning]; n != 5 {
				t.Fatalf("%d jobs are claimed, want the 5 that run", n)
			}
		}
		s.drained()
	})
}

// quickThenSlow is quick up to a job, so that jobs are claimed ahead, and slow
// from there on.
func quickThenSlow(last int64, slow time.Duration) handle {
	return func(ctx context.Context, job *understudy.Job) error {
		if job.ID <= last {
			return nil
		}
		return sleeper(slow)(ctx, job)
	}
}

func TestAJobThatWaitsTooLongForASlotIsReleasedUncharged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.enqueue(3000)
		s := start(t, q, 10, quickThenSlow(1000, time.Minute), nil)
		synctest.Wait()
		if n := s.worker.Status().Queues[0].Buffered; n < 100 {
			t.Fatalf("%d jobs are buffered: nothing was claimed ahead, the test shows nothing", n)
		}
		time.Sleep(1100 * time.Millisecond)
		if n := s.worker.Status().Queues[0].Buffered; n != 0 {
			t.Errorf("%d jobs are still buffered after 1.1s", n)
		}
		s.want(understudy.StateRunning, 10)
		time.Sleep(30 * time.Second)
		s.want(understudy.StateRunning, 10) // and no more are claimed ahead
		for id := int64(1100); id <= 3000; id++ {
			if row := q.row(id); row.job.Attempt != 0 {
				t.Fatalf("job %d is charged %d attempts", id, row.job.Attempt)
			}
		}
		s.drained()
	})
}

func TestFailingClaimsBackOff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		var down atomic.Bool
		down.Store(true)
		q.before = func(_ context.Context, call string) error {
			if call == "claim" && down.Load() {
				return errServer
			}
			return nil
		}
		q.enqueue(1)
		s := start(t, q, 10, nothing, nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := len(q.made("claim")); n < 12 || n > 32 {
			t.Errorf("%d claims in a minute of failures, want a few", n)
		}
		if n := s.log.lines("cannot claim jobs", "the server is gone"); n < 1 || n > 7 {
			t.Errorf("%d complaints in a minute, want one now and then", n)
		}
		down.Store(false)
		time.Sleep(6 * time.Second)
		s.want(understudy.StateCompleted, 1)
		if s.log.lines("can claim jobs again") != 1 {
			t.Error("nobody said that claims work again")
		}
		s.drained()
	})
}

func TestALostClaimReplyIsReconciledAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		s := start(t, q, 10, nothing, nil)
		time.Sleep(q.lease / renewals / 2) // between two heartbeats
		lost := false
		q.mu.Lock()
		q.reply = func(call string) error {
			if call == "claim" && !lost {
				lost = true
				return errServer
			}
			return nil
		}
		q.mu.Unlock()
		id := q.enqueue(1)
		q.notify()
		time.Sleep(150 * time.Millisecond)
		if row := q.row(id); row.state != understudy.StateCompleted || row.job.Attempt != 1 {
			t.Errorf("job is %s after attempt %d, want completed after 1", row.state, row.job.Attempt)
		}
		s.drained()
	})
}

func TestClaimingPausesWhileOutcomesPileUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.lease = time.Hour
		hung := make(chan struct{})
		q.before = func(_ context.Context, call string) error {
			if call == "record" {
				<-hung
			}
			return nil
		}
		q.enqueue(25_000)
		s := start(t, q, 50, nothing, func(o *Options) { o.PollInterval = time.Hour })
		time.Sleep(time.Minute)
		const slots = 50 // that run when claiming pauses, and that were free when the last claim was sent
		if n := s.worker.Status().Unrecorded; n <= maxUnrecorded || n > maxUnrecorded+maxAhead+2*slots {
			t.Errorf("%d outcomes wait, want little more than %d", n, maxUnrecorded)
		}
		close(hung)
		time.Sleep(time.Second)
		s.want(understudy.StateCompleted, 25_000)
		s.drained()
	})
}

func TestAWorkerWithoutHandlersClaimsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.enqueue(1)
		s := start(t, q, 1, nothing, func(o *Options) { o.Handlers = nil })
		time.Sleep(time.Minute)
		if n := len(q.made("claim")); n != 0 {
			t.Errorf("%d claims", n)
		}
		s.drained()
	})
}

func TestAClaimNamesTheKindsThatHaveHandlers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		other := q.enqueueJobs(1, understudy.Job{Kind: "other", Queue: "default"})
		q.enqueue(1)
		s := start(t, q, 1, nothing, nil)
		time.Sleep(time.Minute)
		if state := q.row(other).state; state != understudy.StateAvailable {
			t.Errorf("the job of another kind is %s", state)
		}
		s.want(understudy.StateCompleted, 1)
		s.drained()
	})
}
