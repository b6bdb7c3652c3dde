package worker

import (
	"context"
	"runtime/debug"
	"sync"
	"time"

	"github.com/understudy-worker/understudy"
)

// slot runs the handlers of one line, one job at a time, in a goroutine of
// its own. Status, cancellation and drain look at it from outside.
type slot struct {
	*Worker
	line *line

	// These belong to the slot's goroutine.
	next claimed
	ctx  context.Context
	stop context.CancelFunc // ends ctx once the handler has returned
	took time.Duration      // what buffer.next is to note
	over bool               // the goroutine ends in good order

	mu      sync.Mutex
	job     *understudy.Job // the one whose handler runs now
	started time.Time
	cancel  context.CancelCauseFunc
	halted  error // once set, no handler is called
}

// run works jobs until the buffer is closed.
func (s *slot) run(jobs context.Context) {
	defer s.leave(jobs)
	s.took = nothingDone
	s.loop(jobs)
}

func (s *slot) loop(jobs context.Context) {
	for {
		s.line.buffer.free(s.next.bytes)
		s.next = claimed{} // or the job would be in memory until there is another
		next, ok := s.line.buffer.next(s.took)
		if !ok {
			s.over = true
			return
		}
		s.next, s.took = next, notStarted
		s.work(jobs)
	}
}

// leave ends the slot. Where its goroutine was ended by the handler, another
// one goes on in its place.
func (s *slot) leave(jobs context.Context) {
	if s.over {
		s.slotEnded()
		return
	}
	s.finish(ErrGoexit)
	go func() {
		defer s.leave(jobs)
		s.loop(jobs)
	}()
}

// work runs the handler of s.next, unless it may not start.
func (s *slot) work(jobs context.Context) {
	job := s.next.job
	now := time.Now()
	job.AttemptedAt = job.AttemptedAt.Add(now.Sub(s.next.at))
	handler := s.options.Handlers[job.Kind]
	if handler == nil {
		s.options.Log.Error("claimed a job that has no handler", "job", job.ID, "kind", job.Kind)
		s.recorder.add(understudy.Outcome{Job: job, Verdict: understudy.Snoozed, Delay: refusalDelay})
		return
	}
	if !s.running.enter(job.ID) {
		s.options.Log.Warn("claimed a job that this process still runs", "job", job.ID, "kind", job.Kind)
		s.recorder.add(understudy.Outcome{Job: job, Verdict: understudy.Snoozed, Delay: refusalDelay})
		return
	}
	if !s.begin(jobs, now) {
		s.running.leave(job.ID)
		s.recorder.add(understudy.Outcome{Job: job, Verdict: understudy.Released})
		return
	}
	s.options.Observer.Started(job, job.AttemptedAt.Sub(job.ScheduledAt))
	s.finish(Call(s.ctx, handler, job))
}

// refusalDelay is when a job is tried again that was not started.
const refusalDelay = time.Second

// begin makes the job's context, and makes the job visible from outside. The
// context is no child of one that all jobs share: that one would be locked
// twice a job by every slot. Whoever ends them all ends each.
func (s *slot) begin(jobs context.Context, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.halted != nil {
		return false
	}
	ctx, cancel := context.WithCancelCause(jobs)
	s.ctx, s.stop = ctx, nil
	s.job, s.started, s.cancel = s.next.job, now, cancel
	if limit := s.options.JobTimeout; limit > 0 {
		s.ctx, s.stop = context.WithTimeoutCause(ctx, limit, s.timeUp)
	}
	return true
}

// Call calls the handler and turns a panic into a PanicError.
func Call(ctx context.Context, handler understudy.Handler, job *understudy.Job) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &PanicError{Value: r, Stack: debug.Stack()}
		}
	}()
	return handler.Handle(ctx, job)
}

// finish hands over what the handler returned.
func (s *slot) finish(err error) {
	cause := s.end()
	s.took = time.Since(s.started)
	outcome := Judge(s.next.job, err, cause)
	if err != nil {
		s.tell(&outcome, err)
	}
	s.running.leave(outcome.Job.ID)
	s.recorder.add(outcome)
	s.options.Observer.Finished(outcome, s.took)
}

// end makes the job invisible again, and says why its context had ended
// before, if it had.
func (s *slot) end() error {
	s.mu.Lock()
	cancel := s.cancel
	s.job, s.cancel = nil, nil
	s.mu.Unlock()
	cause := context.Cause(s.ctx)
	if s.stop != nil {
		s.stop()
	}
	cancel(errReturned)
	return cause
}

// tell logs an attempt that did not complete its job.
func (s *slot) tell(o *understudy.Outcome, err error) {
	log := s.options.Log.With("job", o.Job.ID, "kind", o.Job.Kind, "attempt", o.Job.Attempt, "verdict", o.Verdict.String())
	if o.Job.MarkedCompleted() {
		log.Error("the handler completed its job and then returned an error", "error", o.Error)
		return
	}
	if _, panicked := err.(*PanicError); panicked {
		log.Error("the handler panicked", "error", err)
		return
	}
	switch o.Verdict {
	case understudy.Discarded:
		log.Warn("gave a job up", "error", o.Error)
	case understudy.Retried:
		log.Info("a job failed and will be tried again", "error", o.Error, "delay", o.Delay)
	default:
		log.Debug("a job was not completed", "error", o.Error)
	}
}

// cancelJob ends the job's context, if the slot runs one of these.
func (s *slot) cancelJob(ids map[int64]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.job != nil && ids[s.job.ID] {
		s.cancel(ErrJobCancelled)
	}
}

// halt ends the job's context and keeps the slot from starting another.
func (s *slot) halt(cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.halted = cause
	if s.cancel != nil {
		s.cancel(cause)
	}
}

// slotEnded counts the slots that are left.
func (w *Worker) slotEnded() {
	if w.slotsLeft.Add(-1) == 0 {
		close(w.idle)
	}
}
