package worker

import (
	"fmt"
	"time"

	"github.com/understudy-worker/understudy"
)

// outcomeCounts count what became of outcomes.
type outcomeCounts struct {
	unrecorded int                            // added, and neither recorded nor given up
	bytes      int                            // of those
	recorded   [understudy.Released + 1]int64 // by verdict
	fenced     int64
	abandoned  int64
}

// recorded counts what became of a batch that was written. Outcomes of jobs that
// somebody has locked are sent again later, and so are those that cannot be
// stored.
func (r *recorder) recorded(a attempt) outcomeCounts {
	known := r.troubled.take(a.batch)
	now := time.Now()
	counts := outcomeCounts{unrecorded: -len(a.batch), bytes: -bytesOf(a.batch)}
	for i := range a.batch {
		counts.recorded[a.batch[i].Verdict]++
	}
	for _, o := range a.recorded.Deferred {
		counts.recorded[o.Verdict]--
		counts.unrecorded++
		counts.bytes += outcomeBytes(&o)
		r.troubled.deferred(known[o.Job], o, now)
	}
	for _, rejected := range a.recorded.Rejected {
		counts.recorded[rejected.Outcome.Verdict]--
		if r.rejected(known[rejected.Outcome.Job], rejected, now) {
			counts.unrecorded++
			counts.bytes += outcomeBytes(&r.troubled[rejected.Outcome.Job].outcome)
		} else {
			counts.abandoned++
		}
	}
	for _, o := range a.recorded.Warned {
		r.log.Warn("a job is completed without its result", "job", o.Job.ID, "kind", o.Job.Kind, "reason", o.Warning)
	}
	if len(a.recorded.Fenced) > 0 {
		r.fenced(&counts, a.recorded.Fenced, a.repeated && !r.lease.isLost())
	}
	return counts
}

// fenced reports outcomes of jobs that the worker no longer holds. Those of a
// repeated batch were written before, by the try whose reply was lost.
func (r *recorder) fenced(counts *outcomeCounts, outcomes []understudy.Outcome, repeated bool) {
	if repeated {
		r.log.Debug("outcomes that were sent again had been written", "count", len(outcomes), "jobs", someIDs(outcomes))
		return
	}
	for _, o := range outcomes {
		counts.recorded[o.Verdict]--
	}
	counts.fenced = int64(len(outcomes))
	r.observer.Fenced(len(outcomes))
	r.log.Warn("outcomes were refused: this worker no longer holds the jobs",
		"count", len(outcomes), "jobs", someIDs(outcomes))
}

// maxRejections is how often an outcome is changed so that it can be stored.
const maxRejections = 2

// rejected sends an outcome again that the database cannot store: changed, or,
// where its job is completed, as it is. It says no when nothing of that helps.
func (r *recorder) rejected(before *trouble, rejected understudy.RejectedOutcome, now time.Time) bool {
	next := trouble{outcome: rejected.Outcome, due: now, rejections: 1}
	if before != nil {
		next.rejections += before.rejections
	}
	o := &next.outcome
	log := r.log.With("job", o.Job.ID, "kind", o.Job.Kind, "verdict", o.Verdict.String(), "error", rejected.Err)
	if o.Verdict == understudy.Completed {
		// What is done is done: nothing else is recorded of it, as long as there is a worker to try.
		if r.isClosed() {
			log.Error("a completed job cannot be recorded: it is left for rescue and will run again")
			return false
		}
		if next.rejections == 1 {
			log.Error("a completed job cannot be recorded: it is tried until the worker ends")
		}
		o.Warning = "" // the store finds it anew, should the server take the result by then
		next.due = now.Add(retryWait(next.rejections))
	} else {
		if next.rejections > maxRejections {
			log.Error("an outcome cannot be stored: the job is left for rescue")
			return false
		}
		reason := "outcome cannot be stored"
		if next.rejections == 1 { // the second time, the reason itself may be what cannot be stored
			reason = fmt.Sprintf("%s: %v", reason, rejected.Err)
		}
		*o = storable(*o, reason)
		log.Error("an outcome cannot be stored", "instead", o.Verdict.String())
	}
	r.troubled[o.Job] = &next
	return true
}

// storable is the outcome without what may not be stored.
func storable(o understudy.Outcome, reason string) understudy.Outcome {
	switch o.Verdict {
	case understudy.Discarded, understudy.Cancelled, understudy.Released:
		return understudy.Outcome{Job: o.Job, Verdict: o.Verdict, Error: reason}
	}
	return charge(o.Job, reason)
}

// abandon gives outcomes up: their jobs run again once the epoch is over.
func (r *recorder) abandon(outcomes []understudy.Outcome) {
	if len(outcomes) == 0 {
		return
	}
	r.log.Error("outcomes were not recorded: the jobs are left for rescue and will run again",
		"count", len(outcomes), "jobs", someIDs(outcomes))
	r.count(outcomeCounts{unrecorded: -len(outcomes), bytes: -bytesOf(outcomes), abandoned: int64(len(outcomes))})
}

// abandonAll gives up whatever is left when the recorder ends.
func (r *recorder) abandonAll() {
	r.mu.Lock()
	left := r.fresh
	r.fresh = nil
	r.mu.Unlock()
	left = append(left, r.again...)
	left = append(left, r.troubled.unsent()...)
	r.abandon(left)
}

// count adds to the counts, and lets claiming go on when it may.
func (r *recorder) count(more outcomeCounts) {
	r.mu.Lock()
	before := r.crowds(r.counts)
	r.counts.unrecorded += more.unrecorded
	if r.counts.bytes += more.bytes; r.counts.unrecorded == 0 {
		r.counts.bytes = 0 // whatever handlers made of their jobs meanwhile
	}
	r.counts.fenced += more.fenced
	r.counts.abandoned += more.abandoned
	for verdict, n := range more.recorded {
		r.counts.recorded[verdict] += n
	}
	after := r.crowds(r.counts)
	r.mu.Unlock()
	if before && !after {
		r.uncrowd()
	}
}

// someIDs are ids of jobs for a log, not too many.
func someIDs(outcomes []understudy.Outcome) []int64 {
	ids := make([]int64, 0, maxLoggedIDs)
	for _, o := range outcomes[:min(len(outcomes), maxLoggedIDs)] {
		ids = append(ids, o.Job.ID)
	}
	return ids
}

const maxLoggedIDs = 20
