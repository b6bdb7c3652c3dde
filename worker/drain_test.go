package worker

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-worker/understudy"
)

func TestADrainLetsHandlersFinish(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.enqueue(5)
		s := start(t, q, 3, sleeper(10*time.Second), nil)
		time.Sleep(time.Second)
		s.drained()
		wantTime(t, "Run returned", s.since(), 10*time.Second, 0)
		s.want(understudy.StateCompleted, 3)
		s.want(understudy.StateAvailable, 2)
		if q.state != "ended" {
			t.Errorf("the epoch is %s", q.state)
		}
	})
}

func TestADrainWithNothingToWaitForEndsTheEpochAndSaysNoMore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.enqueue(3)
		s := start(t, q, 3, nothing, nil)
		time.Sleep(time.Second)
		s.want(understudy.StateCompleted, 3)
		s.drained()
		wantTime(t, "Run returned", s.since(), time.Second, 0)
		if n := len(q.made("renew")); n != 0 {
			t.Errorf("%d renewals, which the end of the epoch would have to wait for", n)
		}
		if n := len(q.made("end")); n != 1 {
			t.Errorf("the epoch was ended %d times", n)
		}
	})
}

func TestTheDrainDeadlineReleasesJobsUncharged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.enqueue(2)
		told := &ending{}
		s := start(t, q, 2, told.handle, func(o *Options) { o.DrainTimeout = 7 * time.Second })
		time.Sleep(time.Second)
		s.drained()
		told.want(t, s, ErrDrained, 8*time.Second, 0)
		s.want(understudy.StateAvailable, 2)
		written, _ := q.fates()
		for _, o := range written {
			if o.Verdict != understudy.Released || o.Error != "" || q.row(o.Job.ID).job.Attempt != 0 {
				t.Errorf("outcome %+v, attempt %d, want released and uncharged", o, q.row(o.Job.ID).job.Attempt)
			}
		}
		if len(written) != 2 {
			t.Errorf("%d outcomes were written: the end of the epoch released the rest", len(written))
		}
	})
}

func TestWhatAHandlerDecidesAtTheDrainDeadlineHolds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.enqueue(5)
		answers := map[int64]error{
			1: nil, 2: understudy.Discard(errors.New("no")), 3: understudy.Snooze(time.Minute),
			4: understudy.RetryAfter(time.Minute, errors.New("no")), 5: errors.New("no"),
		}
		s := start(t, q, 5, func(ctx context.Context, job *understudy.Job) error {
			<-ctx.Done()
			return answers[job.ID]
		}, nil)
		synctest.Wait()
		s.drained()
		for id, want := range map[int64]understudy.State{
			1: understudy.StateCompleted, 2: understudy.StateDiscarded, 3: understudy.StateScheduled,
			4: understudy.StateAvailable, 5: understudy.StateAvailable,
		} {
			if got := q.row(id).state; got != want {
				t.Errorf("job %d is %s, want %s", id, got, want)
			}
		}
	})
}

func TestAHandlerThatIgnoresTheDrainDeadlineIsStuck(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.enqueue(3)
		s := start(t, q, 3, func(ctx context.Context, job *understudy.Job) error {
			if job.ID > 1 {
				return obedient(ctx, job)
			}
			return stubborn(time.Hour)(ctx, job)
		}, func(o *Options) { o.DrainTimeout, o.HardStop = 5*time.Second, 3*time.Second })
		time.Sleep(time.Second)
		s.demote()
		s.stuck(1, ErrDrained)
		wantTime(t, "Run returned", s.since(), 9*time.Second, 0)
		s.want(understudy.StateAvailable, 2)
		s.want(understudy.StateRunning, 1) // the epoch is not ended under its feet
		if len(q.made("end")) != 0 {
			t.Error("the epoch was ended while a handler runs")
		}
		time.Sleep(time.Hour)
	})
}

func TestADemotionReleasesBufferedJobsAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.enqueue(2000)
		s := start(t, q, 5, quickThenSlow(1000, 15*time.Second), nil)
		time.Sleep(100 * time.Millisecond)
		if s.worker.Status().Queues[0].Buffered == 0 {
			t.Fatal("nothing is buffered: the test shows nothing")
		}
		s.demote()
		synctest.Wait()
		s.want(understudy.StateRunning, 5)
		s.want(understudy.StateAvailable, 995)
		s.drained()
		s.want(understudy.StateCompleted, 1005)
		for _, row := range q.list {
			if row.state == understudy.StateAvailable && row.job.Attempt != 0 {
				t.Fatalf("job %d is charged", row.job.ID)
			}
		}
	})
}

func TestAClaimUnderWayAtADemotionIsReleased(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.answer = func(ctx context.Context) { sleep(ctx, time.Second) }
		q.enqueue(3)
		s := start(t, q, 3, func(context.Context, *understudy.Job) error {
			t.Error("a handler ran")
			return nil
		}, nil)
		time.Sleep(500 * time.Millisecond)
		s.drained()
		wantTime(t, "Run returned", s.since(), 500*time.Millisecond, 0)
		s.want(understudy.StateAvailable, 3)
		if written, _ := q.fates(); len(written) != 3 {
			t.Errorf("%d jobs were released one by one, want 3", len(written))
		}
	})
}

func TestTheEndOfTheEpochReleasesClaimsThatNobodyHeardOf(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.reply = func(call string) error {
			if call == "claim" {
				return errServer // the jobs are claimed, nobody hears of it
			}
			return nil
		}
		q.before = func(ctx context.Context, call string) error {
			if call == "reconcile" {
				<-ctx.Done()
			}
			return nil
		}
		q.enqueue(3)
		s := start(t, q, 3, nothing, nil)
		synctest.Wait()
		s.want(understudy.StateRunning, 3)
		s.drained()
		s.want(understudy.StateAvailable, 3)
	})
}

func TestAClaimThatIsBrokenOffAtADemotionIsNoTrouble(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.downFrom(time.Now(), 0, "claim")
		s := start(t, q, 3, nothing, nil)
		time.Sleep(time.Second)
		s.drained()
		wantTime(t, "Run returned", s.since(), time.Second, 0)
		if n := s.log.lines("level=WARN", "cannot claim jobs"); n != 0 {
			t.Error("it is complained of")
		}
	})
}

func TestADrainWithoutAServerEndsInBoundedTime(t *testing.T) {
	for name, c := range map[string]struct {
		wait    time.Duration // of calls, before they fail; 0: they hang
		lease   time.Duration
		handler handle
		want    error
		within  time.Duration
	}{
		"calls fail, jobs are cut short": {time.Millisecond, time.Hour, obedient, nil, 20*time.Second + DefaultOutcomeTimeout},
		"calls hang, jobs are cut short": {0, time.Hour, obedient, nil, 20*time.Second + DefaultOutcomeTimeout},
		"calls hang, jobs end in time":   {0, time.Hour, sleeper(4 * time.Second), nil, 4*time.Second + DefaultOutcomeTimeout},
		"calls hang, the lease is lost":  {0, 12 * time.Second, obedient, understudy.ErrEpochOver, givenUp(12*time.Second) + DefaultOutcomeTimeout},
		"calls fail, the lease is lost":  {time.Millisecond, 12 * time.Second, obedient, understudy.ErrEpochOver, givenUp(12 * time.Second)},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				q := newFakeQueue()
				q.lease = c.lease
				q.enqueue(4)
				s := start(t, q, 2, c.handler, nil)
				synctest.Wait()
				q.downFrom(time.Now(), c.wait, everyCall)
				s.demote()
				if err := s.ended(); !errors.Is(err, c.want) {
					t.Errorf("Run returned %v, want %v", err, c.want)
				}
				if s.since() > c.within+10*time.Millisecond {
					t.Errorf("Run returned after %s, want at most %s", s.since(), c.within)
				}
				if status := s.worker.Status(); status.Abandoned != 2 || status.Unrecorded != 0 {
					t.Errorf("status %+v, want 2 outcomes given up", status)
				}
				if s.log.lines("level=ERROR", "left for rescue") == 0 {
					t.Error("nobody was told")
				}
			})
		})
	}
}

func TestAServerThatComesBackDuringTheDrainGetsTheOutcomes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		from := time.Now().Add(time.Second)
		q.before = func(context.Context, string) error {
			if time.Now().After(from) && time.Since(from) < 6*time.Second {
				return errServer
			}
			return nil
		}
		q.enqueue(2)
		s := start(t, q, 2, sleeper(2*time.Second), nil)
		time.Sleep(1500 * time.Millisecond)
		s.drained()
		s.want(understudy.StateCompleted, 2)
	})
}

func TestAnEndThatFailsIsLoggedOnly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.downFrom(time.Now(), 0, "end")
		s := start(t, q, 1, nothing, nil)
		time.Sleep(time.Second)
		s.drained()
		wantTime(t, "Run returned", s.since(), time.Second+DefaultOutcomeTimeout, 0)
		if s.log.lines("level=ERROR", "cannot end the epoch") != 1 {
			t.Error("nobody was told")
		}
	})
}

func TestAnEndThatFailsForAMomentIsTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.enqueue(1)
		failures := 0
		q.before = func(_ context.Context, call string) error {
			if call != "end" || failures == endTries-1 {
				return nil
			}
			failures++
			return errServer
		}
		s := start(t, q, 1, nothing, nil)
		time.Sleep(time.Second)
		s.drained()
		if q.state != "ended" || failures != endTries-1 {
			t.Errorf("the epoch is %q after %d failures, want ended after %d", q.state, failures, endTries-1)
		}
	})
}

func TestAServerThatIsDownHoldsUpTheEndForAMomentOnly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.downFrom(time.Now(), time.Millisecond, "end")
		s := start(t, q, 1, nothing, nil)
		time.Sleep(time.Second)
		s.drained()
		if took := s.since() - time.Second; took > time.Second {
			t.Errorf("Run returned after %s", took)
		}
		if s.log.lines("level=ERROR", "cannot end the epoch") != 1 {
			t.Error("nobody was told")
		}
	})
}

func TestAnEpochThatDoesNotOpenIsAnError(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.downFrom(time.Now(), time.Millisecond, "open")
		s := start(t, q, 1, nothing, nil)
		if err := s.ended(); !errors.Is(err, errServer) {
			t.Errorf("Run returned %v", err)
		}
		if n := len(q.calls); n != 2 || q.calls[1].name != "end" {
			t.Errorf("calls were %v, want Open and, as it may have begun all the same, End", q.calls)
		}
	})
}

func TestADemotionWhileTheEpochOpensIsNoError(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.downFrom(time.Now(), 0, "open")
		s := start(t, q, 1, nothing, nil)
		time.Sleep(time.Second)
		s.drained()
		if n := len(q.calls); n != 2 || q.calls[1].name != "end" {
			t.Errorf("calls were %v, want Open and End", q.calls)
		}
	})
}

func TestAnOpenThatTakesHalfALeaseIsAnError(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.downFrom(time.Now(), 0, "open")
		s := start(t, q, 1, nothing, nil)
		if err := s.ended(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Run returned %v", err)
		}
		wantTime(t, "Run returned", s.since(), q.lease/2, 0)
	})
}

func TestAWorkerRunsOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := start(t, newFakeQueue(), 1, nothing, nil)
		synctest.Wait()
		s.drained()
		if err := s.worker.Run(t.Context()); err == nil {
			t.Error("it ran again")
		}
	})
}
