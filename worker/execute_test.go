package worker

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/understudy-worker/understudy"
)

func TestAPanicIsRetriedWithItsStack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		id := q.enqueue(1)
		s := start(t, q, 1, func(context.Context, *understudy.Job) error { panic("no such mailbox") }, nil)
		synctest.Wait()
		row := q.row(id)
		if row.state != understudy.StateRetryable || row.job.Attempt != 1 {
			t.Errorf("job is %s after attempt %d, want retryable after 1", row.state, row.job.Attempt)
		}
		if !strings.Contains(row.err, "panic: no such mailbox") || !strings.Contains(row.err, "execute_test.go") {
			t.Errorf("error %q lacks the panic or its stack", row.err)
		}
		s.drained()
	})
}

func TestAnErrorOfAnyLengthIsLoggedAndRecordedInBrief(t *testing.T) {
	huge := strings.Repeat("e", 20<<20)
	for what, work := range map[string]handle{
		"error":   func(context.Context, *understudy.Job) error { return errors.New(huge) },
		"discard": func(context.Context, *understudy.Job) error { return understudy.Discard(errors.New(huge)) },
		"panic":   func(context.Context, *understudy.Job) error { panic(huge) },
	} {
		t.Run(what, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				q := newFakeQueue()
				id := q.enqueue(1)
				s := start(t, q, 1, work, nil)
				synctest.Wait()
				row, text := q.row(id), s.log.text.String()
				if len(row.err) > understudy.MaxErrorBytes || !strings.Contains(row.err, " bytes in all)") {
					t.Errorf("%d bytes are recorded: %.100s", len(row.err), row.err)
				}
				if what == "panic" && !strings.Contains(row.err, "execute_test.go") {
					t.Error("the stack is not recorded")
				}
				if len(text) > 4*understudy.MaxErrorBytes || !strings.Contains(text, "eee") {
					t.Errorf("%d bytes are logged: %.1000s", len(text), text)
				}
				s.drained()
			})
		})
	}
}

func TestGoexitLosesNeitherJobNorSlot(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.enqueue(20)
		s := start(t, q, 2, func(_ context.Context, job *understudy.Job) error {
			if job.ID <= 10 {
				runtime.Goexit()
			}
			return nil
		}, nil)
		synctest.Wait()
		s.want(understudy.StateRetryable, 10)
		s.want(understudy.StateCompleted, 10)
		if row := q.row(1); row.err != ErrGoexit.Error() {
			t.Errorf("error %q", row.err)
		}
		if n := s.worker.Status().Queues[0].Running; n != 0 {
			t.Errorf("%d slots are taken for busy", n)
		}
		s.drained()
	})
}

func TestAJobThatThisProcessStillRunsIsNotStarted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		shared := &Running{}
		in := func(key string) func(*Options) {
			return func(o *Options) { o.Running, o.Key = shared, key }
		}
		var running, most atomic.Int64
		slow := func(ctx context.Context, job *understudy.Job) error {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			return sleeper(10*time.Second)(ctx, job)
		}
		before, after, elsewhere := newFakeQueue(), newFakeQueue(), newFakeQueue()
		for _, q := range []*fakeQueue{before, after, elsewhere} {
			q.enqueue(1)
		}
		first := start(t, before, 1, slow, in("production"))
		synctest.Wait()
		second := start(t, after, 1, slow, in("production"))
		third := start(t, elsewhere, 1, nothing, in("preview"))
		synctest.Wait()
		row := after.row(1)
		if row.state != understudy.StateScheduled || row.job.Attempt != 0 || time.Until(row.job.ScheduledAt) != time.Second {
			t.Errorf("job is %s, due in %s, charged %d, want snoozed 1s uncharged", row.state, time.Until(row.job.ScheduledAt), row.job.Attempt)
		}
		third.want(understudy.StateCompleted, 1)
		time.Sleep(22 * time.Second)
		second.want(understudy.StateCompleted, 1)
		if most.Load() != 1 {
			t.Errorf("the job ran %d times at once", most.Load())
		}
		for _, s := range []*session{first, second, third} {
			s.drained()
		}
	})
}

func TestAJobWithoutAHandlerIsPutBackUncharged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.anyKind = true
		mail := q.enqueueJobs(1, understudy.Job{Kind: "mail", Queue: "default"})
		id := q.enqueue(1)
		s := start(t, q, 1, nothing, nil)
		synctest.Wait()
		if row := q.row(mail); row.state != understudy.StateScheduled || row.job.Attempt != 0 {
			t.Errorf("job is %s, charged %d, want it to wait uncharged", row.state, row.job.Attempt)
		}
		if row := q.row(id); row.state != understudy.StateCompleted {
			t.Errorf("the other is %s", row.state)
		}
		s.drained()
	})
}

func TestAJobThatIsTakenWhileJobsAreCutShortIsReleased(t *testing.T) {
	t.Parallel()
	w, err := New(Options{
		Queue: newFakeQueue(), Queues: map[string]int{"default": 1},
		Handlers: understudy.Handlers{"work": understudy.HandlerFunc(func(context.Context, *understudy.Job) error {
			t.Error("its handler was called")
			return nil
		})},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := w.lines[0].slots[0]
	s.halt(ErrDrained)
	s.next = claimed{job: &understudy.Job{ID: 1, Kind: "work"}, at: time.Now()}
	s.work(t.Context())
	if got := w.recorder.fresh; len(got) != 1 || got[0].Verdict != understudy.Released {
		t.Errorf("outcomes %+v, want it released", got)
	}
	if !w.running.enter(1) {
		t.Error("it is taken to run")
	}
}

func TestARunningJobIsCancelledByNotification(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		id := q.enqueue(2)
		var cause error
		s := start(t, q, 2, func(ctx context.Context, job *understudy.Job) error {
			err := obedient(ctx, job)
			if job.ID == id {
				cause = err
			}
			return err
		}, nil)
		time.Sleep(1234 * time.Millisecond)
		q.requestCancel(id)
		synctest.Wait()
		if row := q.row(id); row.state != understudy.StateCancelled || !row.doneAt.Equal(time.Now()) {
			t.Errorf("job is %s since %s, want cancelled now", row.state, row.doneAt)
		}
		if cause != ErrJobCancelled {
			t.Errorf("the handler was told %v", cause)
		}
		s.want(understudy.StateRunning, 1)
		s.drained()
	})
}

func TestARunningJobIsCancelledByHeartbeat(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		id := q.enqueue(1)
		s := start(t, q, 1, obedient, nil)
		time.Sleep(time.Second)
		q.mu.Lock()
		q.rows[id].cancelled = true // and the notification is lost
		q.mu.Unlock()
		time.Sleep(q.lease/renewals + time.Second)
		s.want(understudy.StateCancelled, 1)
		s.drained()
	})
}

func TestACancelledJobThatIsDoneIsCompleted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		id := q.enqueue(1)
		s := start(t, q, 1, func(ctx context.Context, _ *understudy.Job) error {
			<-ctx.Done()
			return nil
		}, nil)
		synctest.Wait()
		q.requestCancel(id)
		synctest.Wait()
		s.want(understudy.StateCompleted, 1)
		s.drained()
	})
}

func TestACancelledJobThatHasNotStartedNeverStarts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.enqueue(600)
		var started atomic.Int64
		s := start(t, q, 5, func(ctx context.Context, job *understudy.Job) error {
			if job.ID == 599 {
				started.Add(1)
			}
			return quickThenSlow(500, time.Minute)(ctx, job)
		}, nil)
		synctest.Wait()
		if s.worker.Status().Queues[0].Buffered == 0 || q.row(599).state != understudy.StateRunning {
			t.Fatal("the job is not in the buffer: the test shows nothing")
		}
		q.requestCancel(599)
		synctest.Wait()
		if row := q.row(599); row.state != understudy.StateCancelled {
			t.Errorf("job is %s, want cancelled", row.state)
		}
		s.drained()
		if started.Load() != 0 {
			t.Error("it was started")
		}
	})
}

func TestAJobWhoseTimeIsUpIsRetried(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		id := q.enqueue(1)
		s := start(t, q, 1, func(ctx context.Context, _ *understudy.Job) error {
			if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) != 5*time.Second {
				t.Errorf("the handler sees the deadline %s, %t", deadline, ok)
			}
			<-ctx.Done()
			return fmt.Errorf("send: %w", ctx.Err())
		}, func(o *Options) { o.JobTimeout = 5 * time.Second })
		time.Sleep(5 * time.Second)
		synctest.Wait()
		row := q.row(id)
		if row.state != understudy.StateRetryable || row.job.Attempt != 1 || row.err != "job timed out after 5s" {
			t.Errorf("job is %s after attempt %d: %s", row.state, row.job.Attempt, row.err)
		}
		s.drained()
	})
}

func TestAttemptedAtIsWhenTheHandlerStarted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.enqueue(202)
		var late time.Duration
		s := start(t, q, 1, func(ctx context.Context, job *understudy.Job) error {
			if since := time.Since(job.AttemptedAt); since != 0 {
				t.Errorf("job %d: AttemptedAt was %s ago", job.ID, since)
			}
			if job.ID == 202 {
				late = time.Since(job.ScheduledAt)
			}
			return quickThenSlow(200, 700*time.Millisecond)(ctx, job)
		}, nil)
		time.Sleep(2 * time.Second)
		s.drained()
		if late != 700*time.Millisecond {
			t.Errorf("job 202 started %s after it was claimed: it did not wait, the test shows nothing", late)
		}
	})
}

func TestTheContextEndsWhenTheHandlerReturns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.enqueue(1)
		var kept context.Context
		s := start(t, q, 1, func(ctx context.Context, _ *understudy.Job) error {
			kept = ctx
			return nil
		}, nil)
		synctest.Wait()
		if kept.Err() == nil {
			t.Error("the context goes on")
		}
		s.drained()
	})
}

func TestHandlersSeeTheValuesOfTheContextOfRun(t *testing.T) {
	bubble(t, func(t *testing.T) {
		type key struct{}
		q := newFakeQueue()
		q.enqueue(1)
		var got any
		w, err := New(Options{
			Queue: q, Queues: map[string]int{"default": 1},
			Handlers: understudy.Handlers{"work": understudy.HandlerFunc(func(ctx context.Context, _ *understudy.Job) error {
				got = ctx.Value(key{})
				return nil
			})},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "seen"))
		defer cancel()
		time.AfterFunc(time.Second, cancel)
		if err := w.Run(ctx); err != nil || got != "seen" {
			t.Errorf("value %v, error %v", got, err)
		}
	})
}

func TestAResultIsRecordedWithItsJob(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		id := q.enqueue(1)
		s := start(t, q, 1, func(_ context.Context, job *understudy.Job) error {
			return job.SetResult(map[string]int{"sent": 3})
		}, nil)
		synctest.Wait()
		if got := q.row(id).result; got != `{"sent":3}` {
			t.Errorf("result %s", got)
		}
		s.drained()
	})
}

func TestAnErrorAfterCompleteTxIsLoggedAndRecordedAsItSays(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		id := q.enqueue(1)
		s := start(t, q, 1, func(_ context.Context, job *understudy.Job) error {
			job.MarkCompleted()
			return errors.New("commit failed")
		}, nil)
		synctest.Wait()
		if row := q.row(id); row.state != understudy.StateRetryable || row.err != "commit failed" {
			t.Errorf("job is %s: %q", row.state, row.err)
		}
		if s.log.lines("level=ERROR", "completed its job and then returned an error") != 1 {
			t.Error("nobody was told")
		}
		s.drained()
	})
}

func TestTheObserverIsToldOfEveryStep(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.enqueue(3)
		seen := &countingObserver{}
		s := start(t, q, 3, func(_ context.Context, job *understudy.Job) error {
			time.Sleep(time.Second)
			if job.ID == 3 {
				return errors.New("no")
			}
			return nil
		}, func(o *Options) { o.Observer, o.PollInterval = seen, time.Hour })
		time.Sleep(q.lease / 2)
		got := [...]int64{seen.claimed.Load(), seen.started.Load(), seen.completed.Load(), seen.retried.Load(), seen.recorded.Load()}
		if diff := cmp.Diff([...]int64{3, 3, 2, 1, 3}, got); diff != "" {
			t.Errorf("claimed, started, completed, retried, recorded (-want +got):\n%s", diff)
		}
		if seen.renewed.Load() < 2 {
			t.Errorf("%d renewals in half a lease", seen.renewed.Load())
		}
		s.drained()
	})
}

// countingObserver counts what it is told.
type countingObserver struct {
	NoObserver
	claimed, started, completed, retried, recorded, renewed, fenced atomic.Int64
}

func (o *countingObserver) Claimed(_ string, _, got int, _ error) { o.claimed.Add(int64(got)) }

func (o *countingObserver) Started(*understudy.Job, time.Duration) { o.started.Add(1) }

func (o *countingObserver) Finished(outcome understudy.Outcome, _ time.Duration) {
	switch outcome.Verdict {
	case understudy.Completed:
		o.completed.Add(1)
	case understudy.Retried:
		o.retried.Add(1)
	}
}

func (o *countingObserver) Recorded(n int, _ time.Duration, _ error) { o.recorded.Add(int64(n)) }

func (o *countingObserver) Renewed(error) { o.renewed.Add(1) }

func (o *countingObserver) Fenced(n int) { o.fenced.Add(int64(n)) }

func TestStatusSaysWhatRuns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.enqueue(2)
		s := start(t, q, 2, quickThenSlow(1, time.Minute), nil)
		time.Sleep(3 * time.Second)
		status := s.worker.Status()
		status.RenewedAt = time.Time{}
		want := understudy.WorkerStatus{
			State: StateServing,
			Running: []understudy.RunningJob{{
				ID: 2, Queue: "default", Kind: "work", Attempt: 1, Started: s.begun, Age: 3 * time.Second,
			}},
			Queues:  []understudy.QueueStatus{{Queue: "default", Concurrency: 2, Running: 1}},
			Claimed: 2,
			Recorded: map[string]int64{
				"completed": 1, "discarded": 0, "cancelled": 0, "retried": 0, "snoozed": 0, "released": 0,
			},
		}
		if diff := cmp.Diff(want, status); diff != "" {
			t.Errorf("status (-want +got):\n%s", diff)
		}
		s.demote()
		synctest.Wait()
		if state := s.worker.Status().State; state != StateDraining {
			t.Errorf("state %q during the drain", state)
		}
		s.drained()
		if state := s.worker.Status().State; state != StateEnded {
			t.Errorf("state %q at the end", state)
		}
	})
}
