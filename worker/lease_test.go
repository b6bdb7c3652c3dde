package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-worker/understudy"
)

// stubborn works for d, whatever it is told.
func stubborn(d time.Duration) handle {
	return func(context.Context, *understudy.Job) error {
		time.Sleep(d)
		return nil
	}
}

// ending is when a handler was told to stop, and why.
type ending struct {
	mu    sync.Mutex
	at    time.Time
	cause error
}

// handle works until it is told to stop, and notes that.
func (e *ending) handle(ctx context.Context, _ *understudy.Job) error {
	<-ctx.Done()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.at, e.cause = time.Now(), context.Cause(ctx)
	return ctx.Err()
}

// want expects that a handler was told so, that long after the start.
func (e *ending) want(t *testing.T, s *session, cause error, after, within time.Duration) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.cause != cause {
		t.Errorf("the handler was told %v, want %v", e.cause, cause)
	}
	wantTime(t, "the handler was told", e.at.Sub(s.begun), after, within)
}

// downFrom makes calls fail from a time on, after a wait: for ever when 0.
func (q *fakeQueue) downFrom(from time.Time, wait time.Duration, calls string) {
	q.before = func(ctx context.Context, call string) error {
		if time.Now().Before(from) || !strings.Contains(calls, call) {
			return nil
		}
		if wait == 0 {
			<-ctx.Done()
			return ctx.Err()
		}
		sleep(ctx, wait)
		return errServer
	}
}

const everyCall = "open claim record ask renew reconcile promote rescue prune end listen"

func TestTheLeaseIsRenewedTwelveTimesOverItsLength(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		s := start(t, q, 1, nothing, nil)
		time.Sleep(10 * q.lease)
		if n := len(q.made("renew")); n < 105 || n > 134 {
			t.Errorf("%d renewals in ten leases, want about 120", n)
		}
		if n := len(q.made("reconcile")); n < 105 {
			t.Errorf("%d reconciliations in ten leases, want one a heartbeat", n)
		}
		s.drained()
	})
}

func TestHandlersAreCancelledAtFiveEighthsOfTheLease(t *testing.T) {
	for name, wait := range map[string]time.Duration{"calls fail": time.Millisecond, "calls hang": 0} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				q := newFakeQueue()
				q.downFrom(time.Now().Add(time.Second), wait, everyCall) // after Open, before the first renewal
				q.enqueue(1)
				told := &ending{}
				s := start(t, q, 1, told.handle, nil)
				s.lost()
				told.want(t, s, ErrLeaseLost, givenUp(q.lease), 0)
				if s.since() > givenUp(q.lease)+DefaultOutcomeTimeout {
					t.Errorf("Run returned after %s", s.since())
				}
			})
		})
	}
}

func TestTheLeaseCountsFromBeforeTheRenewalWasSent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		var confirmed time.Time
		q.before = func(ctx context.Context, call string) error {
			if call != "renew" {
				return nil
			}
			if !confirmed.IsZero() {
				return errServer
			}
			confirmed = time.Now()
			sleep(ctx, 4*time.Second) // the server is slow to answer the only renewal
			return nil
		}
		q.enqueue(1)
		told := &ending{}
		s := start(t, q, 1, told.handle, nil)
		s.lost()
		told.want(t, s, ErrLeaseLost, confirmed.Add(givenUp(q.lease)).Sub(s.begun), 0)
	})
}

func TestARenewalThatIgnoresItsTimeoutDoesNotStopTheCounting(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.before = func(_ context.Context, call string) error {
			if call == "renew" {
				time.Sleep(20 * time.Second) // whatever its context says
			}
			return nil
		}
		q.enqueue(1)
		told := &ending{}
		s := start(t, q, 1, told.handle, nil)
		s.lost()
		told.want(t, s, ErrLeaseLost, givenUp(q.lease), 0)
	})
}

func TestALeaseOutlivesFailuresShorterThanHalfOfIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		from := time.Now().Add(31 * time.Second)
		q.before = func(_ context.Context, call string) error {
			if call == "renew" && time.Now().After(from) && time.Now().Before(from.Add(7*time.Second)) {
				return errServer
			}
			return nil
		}
		q.enqueue(1)
		s := start(t, q, 1, sleeper(2*time.Minute), nil)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		s.want(understudy.StateCompleted, 1)
		s.drained()
	})
}

func TestAnOutageShorterThanHalfTheLeaseStopsNobodyWheneverItBegins(t *testing.T) {
	for _, lease := range []time.Duration{time.Second, 30 * time.Second, 10 * time.Minute} {
		for tenth := range 20 {
			t.Run(fmt.Sprintf("%s, %d", lease, tenth), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					q := newFakeQueue()
					q.lease = lease
					from := time.Now().Add(lease + lease/renewals*time.Duration(tenth)/10)
					to := from.Add(lease/2 - time.Millisecond)
					q.before = func(context.Context, string) error {
						if now := time.Now(); now.After(from) && now.Before(to) {
							return errServer
						}
						return nil
					}
					q.enqueue(1)
					s := start(t, q, 2, sleeper(3*lease), nil)
					time.Sleep(time.Until(to))
					q.enqueue(1)
					time.Sleep(3*lease + time.Minute)
					synctest.Wait()
					s.want(understudy.StateCompleted, 2)
					for id := range int64(2) {
						if row := q.row(id + 1); row.requeues != 0 {
							t.Errorf("job %d was told to stop", id+1)
						}
					}
					s.drained()
				})
			})
		}
	}
}

func TestWhatWaitedForTheServerGoesOnWithinTwoSecondsOfIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		from := time.Now().Add(time.Minute)
		to := from.Add(13 * time.Second) // by then, most have come to wait for their longest
		q.before = func(_ context.Context, call string) error {
			if now := time.Now(); now.After(from) && now.Before(to) {
				return errServer
			}
			return nil
		}
		s := start(t, q, 1, nothing, nil)
		time.Sleep(time.Until(to))
		q.enqueue(1)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		s.want(understudy.StateCompleted, 1)
		for _, call := range []string{"claim", "renew", "promote"} {
			made := q.made(call)
			if last := made[len(made)-1].at; last.Before(to) {
				t.Errorf("%s was not tried again %s after the server was back", call, time.Since(to))
			}
		}
		s.drained()
	})
}

func TestAnEpochThatIsOverStopsAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.enqueue(2)
		var over time.Time
		q.before = func(_ context.Context, call string) error {
			if call == "renew" && time.Since(over) > 8*time.Second {
				q.mu.Lock()
				defer q.mu.Unlock()
				if q.state != "lost" {
					q.state, over = "lost", time.Now() // another worker found it expired
					q.rows[1].requeues++               // and took its job
				}
			}
			return nil
		}
		over = time.Now()
		told := &ending{}
		s := start(t, q, 1, told.handle, nil)
		s.lost()
		told.want(t, s, ErrLeaseLost, over.Sub(s.begun), 0)
		if time.Since(over) != 0 {
			t.Errorf("Run returned %s after the epoch was over, and its handler returned at once", time.Since(over))
		}
		if written, fenced := q.fates(); len(fenced) != 1 || len(written) != 0 {
			t.Errorf("%d outcomes were refused and %d written, want the only one refused", len(fenced), len(written))
		}
	})
}

func TestAHandlerThatOutlivesSevenEighthsOfTheLeaseIsStuck(t *testing.T) {
	for _, lease := range []time.Duration{30 * time.Second, 2 * time.Second} {
		t.Run(lease.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				q := newFakeQueue()
				q.lease = lease
				begun := time.Now()
				q.before = func(ctx context.Context, call string) error {
					if since := time.Since(begun); since < lease/20 || call == "claim" && since < lease*2/5 {
						return nil
					}
					<-ctx.Done()
					return ctx.Err()
				}
				q.enqueue(2)
				s := start(t, q, 3, func(ctx context.Context, job *understudy.Job) error {
					if job.ID == 1 {
						return stubborn(time.Hour)(ctx, job)
					}
					return obedient(ctx, job)
				}, func(o *Options) { o.PollInterval = 100 * time.Millisecond })
				s.stuck(1, ErrLeaseLost)
				wantTime(t, "Run returned", s.since(), lease*7/8, 0) // though claims and writes hang
				time.Sleep(time.Hour)                                // let the handler end
			})
		})
	}
}

func TestARenewalThatHangsIsGivenUpInTimeForAnother(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.before = func(ctx context.Context, call string) error {
			if call == "renew" && len(q.made("renew")) == 1 {
				<-ctx.Done()
			}
			return nil
		}
		q.enqueue(1)
		s := start(t, q, 1, sleeper(time.Minute), nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		s.want(understudy.StateCompleted, 1)
		s.drained()
	})
}

func TestAHandlerThatReturnsBeforeSevenEighthsOfTheLeaseIsNot(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.downFrom(time.Now().Add(time.Second), 0, everyCall)
		q.enqueue(1)
		s := start(t, q, 1, stubborn(q.lease*7/8-time.Millisecond), nil)
		s.lost()
	})
}

// freezer is a log handler that has the first to complain about the lease,
// which is the lease's own goroutine, stand still as if the process were stopped.
type freezer struct {
	slog.Handler
	d    time.Duration
	once sync.Once
}

func (f *freezer) Handle(ctx context.Context, record slog.Record) error {
	if strings.Contains(record.Message, "cannot renew the lease") {
		f.once.Do(func() { time.Sleep(f.d) })
	}
	return f.Handler.Handle(ctx, record)
}

func TestALossThatIsNoticedLateLeavesHandlersAQuarterOfTheLease(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.downFrom(time.Now().Add(time.Second), time.Millisecond, "renew")
		q.enqueue(1)
		told := &ending{}
		s := start(t, q, 1, func(ctx context.Context, job *understudy.Job) error {
			return errors.Join(told.handle(ctx, job), stubborn(time.Hour)(ctx, job))
		}, func(o *Options) { o.Log = slog.New(&freezer{Handler: o.Log.Handler(), d: 3 * q.lease}) })
		s.stuck(1, ErrLeaseLost)
		told.want(t, s, ErrLeaseLost, 3*q.lease+q.lease/renewals, time.Second)
		wantTime(t, "Run returned", s.since()-told.at.Sub(s.begun), q.lease/4, 0)
		time.Sleep(time.Hour)
	})
}

func TestALostLeaseClaimsNoMore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.downFrom(time.Now().Add(time.Second), time.Millisecond, "renew")
		s := start(t, q, 1, obedient, nil)
		s.lost()
		calls := q.made("claim")
		if last := calls[len(calls)-1].at.Sub(s.begun); last > givenUp(q.lease) {
			t.Errorf("the last claim was %s after the start", last)
		}
	})
}

func TestOutcomesOfALostEpochHaveOneTry(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.downFrom(time.Now().Add(time.Second), time.Millisecond, "renew record")
		q.enqueue(1)
		s := start(t, q, 1, obedient, nil)
		s.lost()
		if n := len(q.made("record")); n != 1 {
			t.Errorf("%d writes, want one try", n)
		}
		if status := s.worker.Status(); status.Abandoned != 1 || s.log.lines("level=ERROR", "jobs=[1]") != 1 {
			t.Errorf("status %+v: want job 1 given up, aloud", status)
		}
	})
}

func TestAJobCutShortByALostLeaseIsReleasedWhereThatIsStillPossible(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.downFrom(time.Now().Add(time.Second), time.Millisecond, "renew")
		id := q.enqueue(1)
		s := start(t, q, 1, obedient, nil)
		s.lost()
		if row := q.row(id); row.state != understudy.StateAvailable || row.job.Attempt != 0 {
			t.Errorf("job is %s, charged %d, want available and uncharged", row.state, row.job.Attempt)
		}
	})
}

func TestADrainIsToldAtOnceAndKeepsTheLease(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.enqueue(1)
		s := start(t, q, 1, sleeper(3*time.Minute), func(o *Options) { o.DrainTimeout = 5 * time.Minute })
		time.Sleep(8 * time.Second)
		demoted := time.Now()
		s.demote()
		if err := s.ended(); err != nil {
			t.Fatal(err)
		}
		s.want(understudy.StateCompleted, 1)
		renewals := 0
		for _, c := range q.made("renew") {
			if c.drain != !c.at.Before(demoted) {
				t.Errorf("renewal %s after the demotion says draining=%t", c.at.Sub(demoted), c.drain)
			}
			if c.drain {
				if renewals++; renewals == 1 && !c.at.Equal(demoted) {
					t.Errorf("the server was told %s after the demotion", c.at.Sub(demoted))
				}
			}
		}
		if renewals < 30 {
			t.Errorf("%d renewals in a drain of 6 leases", renewals)
		}
	})
}

func TestALeaseLostDuringADrainCutsJobsShort(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.downFrom(time.Now().Add(time.Second), time.Millisecond, "renew")
		q.enqueue(1)
		told := &ending{}
		s := start(t, q, 1, told.handle, func(o *Options) { o.DrainTimeout = time.Hour })
		time.Sleep(3 * time.Second)
		s.demote()
		s.lost()
		told.want(t, s, ErrLeaseLost, givenUp(q.lease), 0)
	})
}
