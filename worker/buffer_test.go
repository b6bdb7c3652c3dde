package worker

import (
	"testing"
	"time"

	"github.com/understudy-worker/understudy"
)

// someJobs are n jobs with ids from first on.
func someJobs(first int64, n int) []*understudy.Job {
	jobs := make([]*understudy.Job, n)
	for i := range jobs {
		jobs[i] = &understudy.Job{ID: first + int64(i)}
	}
	return jobs
}

func idsOf(jobs []*understudy.Job) []int64 {
	var ids []int64
	for _, job := range jobs {
		ids = append(ids, job.ID)
	}
	return ids
}

func TestABufferIsFirstInFirstOut(t *testing.T) {
	t.Parallel()
	b := newBuffer(1, DefaultMaxBytes)
	took, next := nothingDone, int64(1)
	for round := range int64(50) {
		b.push(someJobs(round*10+1, 10), time.Now())
		for range 9 + round%3 { // so that some stay for the next round
			got, ok := b.next(took)
			if !ok || got.job.ID != next {
				t.Fatalf("got job %v, want %d", got.job, next)
			}
			took, next = 1, next+1
		}
	}
}

func TestABufferGivesNothingOnceItIsClosed(t *testing.T) {
	t.Parallel()
	b := newBuffer(1, DefaultMaxBytes)
	b.push(someJobs(1, 2), time.Now())
	if left := b.takeAll(); len(left) != 2 {
		t.Errorf("took %v", idsOf(left))
	}
	if job, ok := b.next(nothingDone); ok {
		t.Errorf("got job %d", job.job.ID)
	}
	if b.push(someJobs(3, 1), time.Now()) {
		t.Error("it took another job")
	}
}

func TestABufferGivesUpOnlyWhatIsOld(t *testing.T) {
	t.Parallel()
	b := newBuffer(1, DefaultMaxBytes)
	now := time.Now()
	b.push(someJobs(1, 2), now.Add(-2*time.Second))
	b.push(someJobs(3, 1), now.Add(-time.Second))
	b.push(someJobs(4, 2), now.Add(-time.Second+1))
	old, oldest := b.takeOlder(now.Add(-time.Second))
	if len(old) != 3 || !oldest.Equal(now.Add(-time.Second+1)) {
		t.Errorf("took %v, the oldest left is of %s", idsOf(old), oldest)
	}
	if got, ok := b.next(nothingDone); !ok || got.job.ID != 4 {
		t.Errorf("got %v", got.job)
	}
}

func TestClaimsGrowWithQuickHandlersAndWaitForHalfOfWhatIsAhead(t *testing.T) {
	t.Parallel()
	b := newBuffer(10, DefaultMaxBytes)
	b.pace.rate = 1e6 // as far as it is for others
	if n, _ := b.want(); n != 10 {
		t.Fatalf("wants %d at first, want its concurrency", n)
	}
	b.push(someJobs(1, 10), time.Now())
	b.next(nothingDone)
	for range 200 {
		b.push(someJobs(1, 1), time.Now())
		b.next(time.Millisecond)
	}
	ahead := b.pace.ahead(10, b.pace.since)
	if ahead < 900 || ahead > 1000 {
		t.Fatalf("%d jobs ahead for 10 slots that take 1ms, want about 1000", ahead)
	}
	buffered, running := b.counts()
	if n, _ := b.want(); n != 10-running+ahead-buffered {
		t.Errorf("wants %d with %d running, %d buffered and %d ahead", n, running, buffered, ahead)
	}
	b.push(someJobs(1, ahead-buffered), time.Now())
	if n, _ := b.want(); n != 0 {
		t.Errorf("wants %d with all that is ahead", n)
	}
	for len(b.need) == 0 {
		b.next(time.Millisecond)
		if buffered, _ = b.counts(); buffered < ahead/2 {
			t.Fatalf("nobody was told, with %d left of %d", buffered, ahead)
		}
	}
	if n, _ := b.want(); n < ahead/2 {
		t.Errorf("wants %d with %d left of %d", n, buffered, ahead)
	}
}

func TestThePaceBoundsWhatIsClaimedAhead(t *testing.T) {
	t.Parallel()
	for took, want := range map[time.Duration]int{
		0: maxAhead, time.Microsecond: maxAhead, 5 * time.Millisecond: 1000, 99 * time.Millisecond: 50,
		100 * time.Millisecond: 0, time.Hour: 0,
	} {
		p := &pace{mean: took, rate: 1e6}
		if got := p.ahead(50, p.since); got != want {
			t.Errorf("50 slots that take %s have %d jobs ahead, want %d", took, got, want)
		}
	}
}

func TestNoMoreIsClaimedAheadThanIsDone(t *testing.T) {
	t.Parallel()
	now := time.Now()
	p := newPace()
	did := func(jobs int, in time.Duration) int {
		for range jobs {
			p.observe(time.Microsecond)
		}
		now = now.Add(in)
		return p.ahead(50, now)
	}
	if got := did(50, time.Second); got != minAhead {
		t.Errorf("%d jobs ahead at first, want %d", got, minAhead)
	}
	var got int
	for range 50 {
		got = did(100, 10*time.Millisecond)
	}
	if got < 2800 || got > 3000 {
		t.Errorf("%d jobs ahead where 10,000 are done in a second, want about 3,000", got)
	}
	for range 50 {
		got = did(1000, 10*time.Millisecond)
	}
	if got != maxAhead {
		t.Errorf("%d jobs ahead where 100,000 are done in a second, want %d", got, maxAhead)
	}
	if got = did(1, time.Millisecond); got != maxAhead {
		t.Errorf("%d jobs ahead after a moment in which little was done, want %d still", got, maxAhead)
	}
}
