package worker

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-worker/understudy"
)

// sized are arguments of so many bytes.
func sized(bytes int) json.RawMessage {
	return slices.Concat([]byte{'"'}, slices.Repeat([]byte{'x'}, bytes-2), []byte{'"'})
}

// weighed counts the bytes of the jobs that handlers have at a time.
type weighed struct {
	mu        sync.Mutex
	now, most int
	jobs      int
}

func (w *weighed) handle(ctx context.Context, job *understudy.Job) error {
	w.add(len(job.Args) + len(job.Metadata))
	sleep(ctx, time.Second)
	w.add(-len(job.Args) - len(job.Metadata))
	return nil
}

func (w *weighed) add(bytes int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now += bytes
	w.most = max(w.most, w.now)
	if bytes > 0 {
		w.jobs++
	}
}

func TestWhatIsClaimedAndNotDoneHasNoMoreBytesThanThereIsRoomFor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q, w := newFakeQueue(), &weighed{}
		q.enqueueJobs(60, understudy.Job{Kind: "work", Queue: "default", MaxAttempts: 1, Args: sized(90), Metadata: sized(10)})
		s := start(t, q, 50, w.handle, func(o *Options) { o.MaxBytes = 1000 })
		time.Sleep(30 * time.Second)
		s.want(understudy.StateCompleted, 60)
		if w.most != 1000 {
			t.Errorf("jobs of %d bytes ran at a time, want 1000", w.most)
		}
		s.drained()
	})
}

func TestAJobThatIsLargerThanAllRoomIsWorked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q, w := newFakeQueue(), &weighed{}
		q.enqueueJobs(5, understudy.Job{Kind: "work", Queue: "default", MaxAttempts: 1, Args: sized(5000)})
		s := start(t, q, 50, w.handle, func(o *Options) { o.MaxBytes = 1000 })
		time.Sleep(30 * time.Second)
		s.want(understudy.StateCompleted, 5)
		if w.most != 5000 {
			t.Errorf("jobs of %d bytes ran at a time, want one", w.most)
		}
		s.drained()
	})
}

func TestLargeJobsOfOneQueueLeaveRoomForAnother(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		q.enqueueJobs(50, understudy.Job{Kind: "work", Queue: "default", MaxAttempts: 1, Args: sized(900)})
		q.enqueueJobs(10, understudy.Job{Kind: "work", Queue: "mail", MaxAttempts: 1, Args: sized(50)})
		var mu sync.Mutex
		running := map[string]int{}
		hold := make(chan struct{})
		s := start(t, q, 50, func(_ context.Context, job *understudy.Job) error {
			mu.Lock()
			running[job.Queue]++
			mu.Unlock()
			<-hold
			return nil
		}, func(o *Options) { o.MaxBytes, o.Queues["mail"] = 1000, 10 })
		synctest.Wait()
		mu.Lock()
		if running["default"] != 1 || running["mail"] != 10 {
			t.Errorf("running are %v, want one that is too large, and ten", running)
		}
		mu.Unlock()
		close(hold)
		time.Sleep(time.Minute)
		s.want(understudy.StateCompleted, 60)
		s.drained()
	})
}

func TestClaimingPausesWhileOutcomesOfManyBytesWaitToBeRecorded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFakeQueue()
		down := make(chan struct{})
		q.before = func(ctx context.Context, call string) error {
			if call == "record" {
				select {
				case <-down:
				case <-ctx.Done():
				}
			}
			return nil
		}
		q.enqueue(100)
		s := start(t, q, 1, func(_ context.Context, job *understudy.Job) error {
			return job.SetResult(string(sized(400)))
		}, func(o *Options) { o.MaxBytes = 1000 })
		time.Sleep(5 * time.Second)
		if n := s.worker.Status().Unrecorded; n < 3 || n > 5 {
			t.Errorf("%d outcomes of 400 bytes wait, where there is room for 1000", n)
		}
		close(down)
		time.Sleep(10 * time.Second)
		s.want(understudy.StateCompleted, 100)
		for _, batch := range q.sent() {
			if bytesOf(batch) > 1000 && len(batch) > 1 {
				t.Errorf("one write had %d bytes", bytesOf(batch))
			}
		}
		s.drained()
	})
}
