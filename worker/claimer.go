package worker

import (
	"context"
	"time"

	"github.com/understudy-worker/understudy"
)

// line is the way of one queue's jobs through the worker: its claimer fills
// the buffer, its slots empty it.
type line struct {
	queue       string
	concurrency int
	buffer      *buffer
	slots       []*slot
	wake        chan struct{} // has a token when jobs may have become due
}

// claimer asks for the jobs of one line.
type claimer struct {
	*Worker
	line    *line
	retries retries
	got     int  // jobs that the last claim brought
	more    bool // it left some
	passed  int  // claims in a row that brought none of those that there are
}

// run claims until serving ends. A claim that is under way then is broken off
// once claiming ends, and what it brings all the same is released.
func (c *claimer) run(serving, claiming context.Context) {
	looking := true // there may be jobs to claim
	for serving.Err() == nil {
		limit, bytes := 0, 0
		if looking {
			limit, bytes = c.limit()
		}
		if limit == 0 {
			looking = c.wait(serving, looking)
			continue
		}
		if err := c.claim(claiming, limit, bytes); err != nil {
			nudge(c.reconcile) // the jobs may have been claimed all the same
			if claiming.Err() != nil {
				return
			}
			c.retries.pause(serving, err)
			continue
		}
		c.retries.success()
		looking = c.more && c.got > 0
	}
}

// limit says how many jobs to claim now, of how many bytes. It looks at the outcomes last: what
// leaves the buffer between the two looks is among them by then, and not in both
// or, worse, in neither.
func (c *claimer) limit() (jobs, bytes int) {
	jobs, bytes = c.line.buffer.want()
	if c.recorder.crowded() || c.needs.holdUp() {
		return 0, 0
	}
	return jobs, bytes
}

// wait returns when it is worth another look at the queue or the buffer. It
// says whether there may be jobs to claim: after a claim that brought some,
// but not all that it asked for, there may once one of them is done.
func (c *claimer) wait(serving context.Context, looking bool) bool {
	poll := time.NewTimer(jitter(c.pause()))
	defer poll.Stop()
	select {
	case <-serving.Done():
	case <-c.line.buffer.need:
		return looking || c.got > 0
	case <-c.line.wake:
	case <-poll.C:
	}
	return true
}

// passedPause is how long it is until the next look after a claim that brought
// nothing since others were at the jobs. It doubles as long as they are.
const passedPause = 5 * time.Millisecond

// pause is how long to wait where nothing else is cause to look at the queue.
func (c *claimer) pause() time.Duration {
	const doublings = 10
	if c.passed == 0 {
		return c.options.PollInterval
	}
	return min(passedPause<<min(c.passed-1, doublings), c.options.PollInterval)
}

// claim asks for jobs and puts them into the buffer.
func (c *claimer) claim(claiming context.Context, limit, bytes int) error {
	// A claim that takes half a lease is as good as lost.
	ctx, cancel := context.WithTimeout(claiming, c.options.Lease/2)
	defer cancel()
	jobs, more, err := c.options.Queue.Claim(ctx, understudy.ClaimRequest{
		Queue: c.line.queue, Kinds: c.kinds, Limit: limit, Bytes: bytes,
	})
	c.options.Observer.Claimed(c.line.queue, limit, len(jobs), err)
	c.got, c.more = len(jobs), more
	if c.passed++; c.got > 0 || !more {
		c.passed = 0
	}
	c.claimed.Add(int64(len(jobs)))
	if len(jobs) > 0 && !c.line.buffer.push(jobs, time.Now()) {
		c.release(jobs)
	}
	return err
}

// release returns jobs that no handler has begun to their queue.
func (w *Worker) release(jobs []*understudy.Job) {
	for _, job := range jobs {
		w.recorder.add(understudy.Outcome{Job: job, Verdict: understudy.Released})
	}
}

// maxAge is how long a claimed job may wait for a slot before others get it.
const maxAge = time.Second

// releaseStale releases jobs that have waited in a buffer for too long.
func (w *Worker) releaseStale(serving context.Context) {
	wait := maxAge
	for sleep(serving, wait) {
		wait = maxAge
		for _, l := range w.lines {
			old, oldest := l.buffer.takeOlder(time.Now().Add(-maxAge))
			if len(old) > 0 {
				w.options.Log.Debug("releases jobs that were claimed too early", "queue", l.queue, "jobs", len(old))
				w.release(old)
			}
			if !oldest.IsZero() {
				wait = min(wait, max(maxAge-time.Since(oldest), minStaleWait))
			}
		}
	}
}

// minStaleWait keeps releaseStale from looking more often than is of use.
const minStaleWait = 10 * time.Millisecond

// wakeAll has every claimer look at its queue.
func (w *Worker) wakeAll() {
	for _, l := range w.lines {
		nudge(l.wake)
	}
}

// feedAll has every claimer look whether there is room.
func (w *Worker) feedAll() {
	for _, l := range w.lines {
		nudge(l.buffer.need)
	}
}
