package worker

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/understudy-worker/understudy"
)

// claimed is a job that no handler has begun, and when its claim was answered.
type claimed struct {
	job   *understudy.Job
	at    time.Time
	bytes int
}

// buffer holds the claimed jobs of one queue until a slot takes them, first in
// first out, and counts those that were taken and are not done. It is safe for
// concurrent use.
type buffer struct {
	concurrency int
	budget      int           // of bytes that the jobs have which are here or run
	need        chan struct{} // has a token when there is room for another claim
	bytes       atomic.Int64  // that they have

	mu      sync.Mutex
	filled  sync.Cond // jobs have come, or the buffer was closed
	jobs    []claimed // in the order of arrival, from head on
	head    int
	waiting int // slots that wait for a job
	running int // jobs that were taken and are not done
	pace    pace
	ahead   int  // how many jobs to have beyond those that run
	hungry  bool // the claimer waits for need
	changed bool // and has cause to look again: after a claim, only once a job is done
	closed  bool
}

func newBuffer(concurrency, budget int) *buffer {
	b := &buffer{concurrency: concurrency, budget: budget, need: make(chan struct{}, 1), pace: newPace()}
	b.filled.L = &b.mu
	return b
}

// push adds jobs. It takes none once the buffer is closed.
func (b *buffer) push(jobs []*understudy.Job, at time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.compact()
	bytes := 0
	for _, job := range jobs {
		size := len(job.Args) + len(job.Metadata)
		b.jobs = append(b.jobs, claimed{job, at, size})
		bytes += size
	}
	b.bytes.Add(int64(bytes))
	select { // what is done from now on makes room; what was done before is known
	case <-b.need:
	default:
	}
	b.hungry, b.changed = true, false
	if len(jobs) >= b.waiting {
		b.filled.Broadcast()
		return true
	}
	for range jobs {
		b.filled.Signal()
	}
	return true
}

// compact moves the jobs to the start of their array.
func (b *buffer) compact() {
	if b.head == 0 {
		return
	}
	n := copy(b.jobs, b.jobs[b.head:])
	clear(b.jobs[n:])
	b.jobs, b.head = b.jobs[:n], 0
}

// What a slot has behind it when it asks for its next job.
const (
	nothingDone time.Duration = -1 - iota // it has just begun
	notStarted                            // a job that its handler did not see
)

// free notes that a job of so many bytes is done. It goes before next, which tells
// the claimer.
func (b *buffer) free(bytes int) { b.bytes.Add(-int64(bytes)) }

// next waits for a job and takes it. It notes that the one before is done,
// and how long its handler took. It returns false once the buffer is closed.
func (b *buffer) next(took time.Duration) (claimed, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if took != nothingDone {
		b.running--
		b.changed = true
		if took >= 0 {
			b.pace.observe(took)
		}
	}
	for b.size() == 0 && !b.closed {
		b.feed()
		b.waiting++
		b.filled.Wait()
		b.waiting--
	}
	if b.closed {
		return claimed{}, false
	}
	job := b.jobs[b.head]
	b.jobs[b.head] = claimed{}
	b.head++
	b.running++
	b.feed()
	return job, true
}

// feed tells a claimer that waits for it that there is room.
func (b *buffer) feed() {
	if b.hungry && b.changed && b.room() > 0 {
		b.hungry = false
		nudge(b.need)
	}
}

// room is how many jobs to claim. While half of the jobs ahead are still
// there, or half of the bytes that there may be, it is 0, so that claims are few
// and large. Without any job there is room for one, however large.
func (b *buffer) room() int {
	if b.size() > b.ahead/2 || b.bytes.Load() > int64(b.budget/2) {
		return 0
	}
	return b.concurrency - b.running + b.ahead - b.size()
}

// want says how many jobs to claim now, and how many bytes they may have: as many
// as there are idle slots, and some ahead where handlers are quick. When it says 0,
// need has a token later.
func (b *buffer) want() (jobs, bytes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ahead = b.pace.ahead(b.concurrency, time.Now())
	room := b.room()
	if room == 0 {
		b.hungry, b.changed = true, true
	}
	return room, b.budget - int(b.bytes.Load())
}

func (b *buffer) size() int { return len(b.jobs) - b.head }

// takeAll closes the buffer and takes what is left.
func (b *buffer) takeAll() []*understudy.Job {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.filled.Broadcast()
	return b.remove(func(claimed) bool { return true })
}

// takeOlder takes the jobs that came by the limit, and says when the oldest of
// the others came, if there are any. Where it takes some, handlers have become
// slow: nothing is claimed ahead until they are quick again.
func (b *buffer) takeOlder(limit time.Time) (old []*understudy.Job, oldest time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	old = b.remove(func(c claimed) bool { return !c.at.After(limit) })
	if len(old) > 0 {
		b.pace = newPace()
	}
	if b.size() == 0 {
		return old, time.Time{}
	}
	return old, b.jobs[b.head].at
}

// takeThese takes the jobs of these ids.
func (b *buffer) takeThese(ids map[int64]bool) []*understudy.Job {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.remove(func(c claimed) bool { return ids[c.job.ID] })
}

// remove takes the jobs that which says yes to.
func (b *buffer) remove(which func(claimed) bool) []*understudy.Job {
	b.compact()
	var taken []*understudy.Job
	kept := b.jobs[:0]
	for _, c := range b.jobs {
		if which(c) {
			taken = append(taken, c.job)
			b.free(c.bytes)
		} else {
			kept = append(kept, c)
		}
	}
	clear(b.jobs[len(kept):])
	b.jobs = kept
	b.changed = b.changed || len(taken) > 0
	b.feed()
	return taken
}

// counts says how many jobs wait here and how many were taken.
func (b *buffer) counts() (buffered, running int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.size(), b.running
}
