package worker

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/understudy-worker/understudy"
)

// sizes are how many outcomes each write had.
func (q *fakeQueue) sizes() []int {
	var sizes []int
	for _, batch := range q.sent() {
		sizes = append(sizes, len(batch))
	}
	return sizes
}

// slowWrites makes every write take d.
func (q *fakeQueue) slowWrites(d time.Duration) {
	q.before = func(ctx context.Context, call string) error {
		if call == "record" {
			sleep(ctx, d)
		}
		return nil
	}
}

func TestOutcomesGatherWhileAWriteIsUnderWay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.slowWrites(100 * time.Millisecond)
		q.enqueue(5)
		s := start(t, q, 5, func(_ context.Context, job *understudy.Job) error {
			time.Sleep(time.Duration(job.ID) * 10 * time.Millisecond)
			return nil
		}, nil)
		time.Sleep(time.Second)
		if diff := cmp.Diff([]int{1, 4}, q.sizes()); diff != "" {
			t.Errorf("sizes of writes (-want +got):\n%s", diff)
		}
		if took := q.row(5).doneAt.Sub(s.begun); took != 210*time.Millisecond {
			t.Errorf("the last was written after %s, want two writes and the first job's 10ms", took)
		}
		s.drained()
	})
}

func TestTwoWritesAtATimeOfBoundedSize(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		var writes, most atomic.Int64
		q.before = func(ctx context.Context, call string) error {
			if call == "record" {
				most.Store(max(most.Load(), writes.Add(1)))
				defer writes.Add(-1)
				sleep(ctx, time.Second)
			}
			return nil
		}
		q.enqueue(14_000)
		s := start(t, q, 50, nothing, nil)
		time.Sleep(20 * time.Second)
		s.want(understudy.StateCompleted, 14_000)
		if most.Load() != maxWrites {
			t.Errorf("%d writes at once, want %d", most.Load(), maxWrites)
		}
		if largest := slices.Max(q.sizes()); largest != maxRecord {
			t.Errorf("the largest write had %d outcomes, want %d", largest, maxRecord)
		}
		s.drained()
	})
}

func TestASecondWriteBeginsOnlyWithManyOutcomes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		var writes, beside atomic.Int64
		q.before = func(ctx context.Context, call string) error {
			if call == "record" {
				beside.Add(writes.Add(1) - 1)
				defer writes.Add(-1)
				sleep(ctx, time.Second)
			}
			return nil
		}
		q.enqueue(minBeside)
		s := start(t, q, 50, nothing, nil)
		time.Sleep(5 * time.Second)
		s.want(understudy.StateCompleted, minBeside)
		if beside.Load() != 0 {
			t.Errorf("%d writes began beside another for fewer than %d outcomes", beside.Load(), minBeside)
		}
		s.drained()
	})
}

func TestWhileAWriteIsRepeatedNothingElseIsWritten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		var down atomic.Bool
		var writes, beside atomic.Int64
		down.Store(true)
		q.before = func(ctx context.Context, call string) error {
			if call != "record" {
				return nil
			}
			if writes.Add(1); down.Load() {
				beside.Store(max(beside.Load(), writes.Load()))
			}
			defer writes.Add(-1)
			sleep(ctx, 100*time.Millisecond)
			if down.Load() {
				return errServer
			}
			return nil
		}
		q.enqueue(3 * minBeside)
		s := start(t, q, 50, nothing, nil)
		time.Sleep(2 * time.Second)
		beside.Store(0) // the first writes began before one had failed
		time.Sleep(time.Minute)
		if beside.Load() != 1 {
			t.Errorf("%d writes at once while the server is down, want 1", beside.Load())
		}
		down.Store(false)
		time.Sleep(10 * time.Second)
		s.want(understudy.StateCompleted, 3*minBeside)
		s.drained()
	})
}

func TestALostReplyToRecordIsSentAgainAndNoAlarm(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		lost := false
		q.reply = func(call string) error {
			if call == "record" && !lost {
				lost = true
				return errServer
			}
			return nil
		}
		q.enqueue(3)
		seen := &countingObserver{}
		s := start(t, q, 3, nothing, func(o *Options) { o.Observer = seen })
		time.Sleep(time.Second)
		s.want(understudy.StateCompleted, 3)
		if written, fenced := q.fates(); len(written) != 3 || len(fenced) == 0 {
			t.Errorf("%d outcomes were written, %d refused, want 3 and some that were sent twice", len(written), len(fenced))
		}
		status := s.worker.Status()
		if status.Recorded["completed"] != 3 || status.Fenced != 0 || status.Unrecorded != 0 || seen.fenced.Load() != 0 {
			t.Errorf("status %+v, want 3 completed and none fenced", status)
		}
		if s.log.lines("level=WARN", "refused") != 0 || s.log.lines("level=DEBUG", "had been written") == 0 {
			t.Error("the repeated outcomes raised an alarm")
		}
		s.drained()
	})
}

func TestOutcomesWaitForAServerThatIsGone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		var down atomic.Bool
		down.Store(true)
		q.before = func(_ context.Context, call string) error {
			if call == "record" && down.Load() {
				return errServer
			}
			return nil
		}
		q.enqueue(100)
		s := start(t, q, 10, nothing, nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := len(q.made("record")); n < 12 || n > 32 {
			t.Errorf("%d writes in a minute of failures, want a few", n)
		}
		down.Store(false)
		time.Sleep(6 * time.Second)
		s.want(understudy.StateCompleted, 100)
		s.drained()
	})
}

func TestAFencedOutcomeIsCountedAndNamed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.enqueue(2)
		seen := &countingObserver{}
		s := start(t, q, 2, sleeper(time.Second), func(o *Options) { o.Observer = seen })
		synctest.Wait()
		q.mu.Lock()
		q.rows[2].requeues++ // somebody took it away
		q.mu.Unlock()
		time.Sleep(1500 * time.Millisecond)
		status := s.worker.Status()
		if status.Recorded["completed"] != 1 || status.Fenced != 1 || seen.fenced.Load() != 1 {
			t.Errorf("status %+v, want 1 completed and 1 fenced", status)
		}
		if s.log.lines("level=WARN", "refused", "jobs=[2]") != 1 {
			t.Error("nobody was told that job 2 was fenced")
		}
		s.drained()
	})
}

func TestADeferredOutcomeHoldsUpNoOther(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		var locked atomic.Bool
		locked.Store(true)
		q.refuse = func(o understudy.Outcome) (bool, error) { return o.Job.ID == 1 && locked.Load(), nil }
		q.enqueue(50)
		s := start(t, q, 5, sleeper(100*time.Millisecond), nil)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		s.want(understudy.StateCompleted, 49)
		if took := q.row(50).doneAt.Sub(s.begun); took != time.Second {
			t.Errorf("the last of the others was written after %s, want 1s", took)
		}
		tries := 0
		for _, batch := range q.sent() {
			if slices.ContainsFunc(batch, func(o understudy.Outcome) bool { return o.Job.ID == 1 }) {
				if tries++; tries > 1 && len(batch) != 1 {
					t.Errorf("try %d of the locked job was sent with %d others", tries, len(batch)-1)
				}
			}
		}
		if tries < 4 || tries > 12 {
			t.Errorf("the locked job was tried %d times in 10s", tries)
		}
		locked.Store(false)
		time.Sleep(6 * time.Second)
		s.want(understudy.StateCompleted, 50)
		if status := s.worker.Status(); status.Unrecorded != 0 || status.Recorded["completed"] != 50 {
			t.Errorf("status %+v", status)
		}
		s.drained()
	})
}

func TestAJobThatIsCompletedIsRecordedAsNothingElse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		var refuses atomic.Bool
		refuses.Store(true)
		q.refuse = func(o understudy.Outcome) (bool, error) {
			if o.Job.ID == 1 && refuses.Load() {
				return false, errors.New("no")
			}
			return false, nil
		}
		q.enqueue(50)
		s := start(t, q, 5, nothing, nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		s.want(understudy.StateCompleted, 49)
		s.want(understudy.StateRunning, 1)
		if status := s.worker.Status(); status.Unrecorded != 1 || status.Abandoned != 0 {
			t.Errorf("status %+v, want 1 unrecorded", status)
		}
		if n := s.log.lines("level=ERROR", "a completed job cannot be recorded", "job=1"); n != 1 {
			t.Errorf("it was said %d times", n)
		}
		tries := 0
		for _, batch := range q.sent() {
			for _, o := range batch {
				if o.Job.ID != 1 {
					continue
				}
				if tries++; o.Verdict != understudy.Completed || tries > 1 && len(batch) != 1 {
					t.Errorf("try %d of %d outcomes says that the job is %s", tries, len(batch), o.Verdict)
				}
			}
		}
		if tries < 12 || tries > 40 {
			t.Errorf("%d tries in a minute, want a few", tries)
		}
		refuses.Store(false)
		time.Sleep(6 * time.Second)
		s.want(understudy.StateCompleted, 50)
		s.drained()
	})
}

func TestACompletedJobThatCannotBeRecordedHoldsNoDrainUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.refuse = func(o understudy.Outcome) (bool, error) {
			if o.Job.ID == 1 {
				return false, errors.New("no")
			}
			return false, nil
		}
		q.enqueue(2)
		s := start(t, q, 2, nothing, nil)
		synctest.Wait()
		s.want(understudy.StateCompleted, 1)
		began := time.Now()
		s.drained()
		if took := time.Since(began); took > maxRetryWait {
			t.Errorf("the drain took %s", took)
		}
		if status := s.worker.Status(); status.Abandoned != 1 || status.Unrecorded != 0 {
			t.Errorf("status %+v, want 1 given up", status)
		}
		if row := q.row(1); row.state != understudy.StateAvailable || row.job.Attempt != 0 {
			t.Errorf("job 1 is %s, charged %d, want it back in its queue by the epoch's end", row.state, row.job.Attempt)
		}
	})
}

func TestAResultThatIsNotKeptIsSaid(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.enqueue(2)
		s := start(t, q, 2, func(_ context.Context, job *understudy.Job) error {
			if job.ID == 1 {
				return job.SetResult(func() {})
			}
			return job.SetResult("kept")
		}, nil)
		synctest.Wait()
		s.want(understudy.StateCompleted, 2)
		if row := q.row(1); row.result != "" || row.job.Attempt != 1 {
			t.Errorf("result %q after attempt %d", row.result, row.job.Attempt)
		}
		if n := s.log.lines("level=WARN", "completed without its result", "job=1", "cannot be made JSON"); n != 1 || s.log.lines("without its result") != 1 {
			t.Errorf("it was said %d times", n)
		}
		s.drained()
	})
}

func TestAnOutcomeThatCanNeverBeStoredIsGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.refuse = func(o understudy.Outcome) (bool, error) {
			if o.Job.ID == 1 {
				return false, errors.New("no")
			}
			return false, nil
		}
		q.enqueue(2)
		s := start(t, q, 2, func(_ context.Context, job *understudy.Job) error {
			if job.ID == 1 {
				return errors.New("failed")
			}
			return nil
		}, nil)
		synctest.Wait()
		s.want(understudy.StateCompleted, 1)
		if status := s.worker.Status(); status.Abandoned != 1 || status.Unrecorded != 0 {
			t.Errorf("status %+v, want 1 given up", status)
		}
		s.drained()
		if row := q.row(1); row.state != understudy.StateAvailable || row.job.Attempt != 0 {
			t.Errorf("job 1 is %s, charged %d, want it back in its queue by the epoch's end", row.state, row.job.Attempt)
		}
	})
}

func TestWhatIsRejectedIsChangedOnlyAsFarAsItMust(t *testing.T) {
	t.Parallel()
	job := &understudy.Job{ID: 1, Attempt: 1, MaxAttempts: 2}
	for verdict, want := range map[understudy.Verdict]understudy.Verdict{
		understudy.Retried:   understudy.Retried,
		understudy.Snoozed:   understudy.Retried,
		understudy.Discarded: understudy.Discarded,
		understudy.Cancelled: understudy.Cancelled,
		understudy.Released:  understudy.Released,
	} {
		got := storable(understudy.Outcome{Job: job, Verdict: verdict, Error: "was", Delay: time.Hour}, "why")
		if got.Verdict != want || got.Error != "why" || got.Delay > 2*time.Second {
			t.Errorf("%s becomes %+v, want %s", verdict, got, want)
		}
	}
}
