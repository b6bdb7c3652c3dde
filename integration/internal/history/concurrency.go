package history

import (
	"slices"
)

// concurrency checks that no job was claimed again before it had gone back to
// its queue, and that none ran twice at a time.
func (j *judge) concurrency(p *place) {
	for i := range p.Jobs {
		if runs := p.runs[p.Jobs[i].ID]; len(runs) > 1 {
			j.claimedOnce(runs)
			j.oneAtATime(runs)
		}
	}
}

// claimedOnce checks that no two runs are of the same stay in the queue. A
// claim's commit does not wait for the disk: a crash may undo it.
func (j *judge) claimedOnce(runs []*run) {
	before := map[int]*run{}
	for _, r := range runs {
		if b := before[r.Requeues]; b != nil && !undone(b, r) {
			j.blame("%s and %s are of one claim, or of two that nothing lay between", b, r)
		}
		before[r.Requeues] = r
	}
}

// undone says whether a crash may have undone the first run's claim before the
// second run.
func undone(first, second *run) bool {
	return anyTouches(first.place.Crashed, first.claimed.Add(-waitTime), second.StartedAt)
}

// oneAtATime checks that no run begins while another goes on.
func (j *judge) oneAtATime(runs []*run) {
	var open []*run
	for _, r := range runs {
		open = slices.DeleteFunc(open, func(o *run) bool { return !o.until.After(r.StartedAt) })
		for _, o := range open {
			switch {
			case o.process == r.process:
				j.blame("%s had not ended when its process ran the job again at %s", o, clock(r.StartedAt))
			case !undone(o, r) && !o.frozenBefore(r) && !r.overslept():
				j.blame("%s had not ended when process %d of pod %s ran the job at %s", o, r.Process, r.Pod, clock(r.StartedAt))
			}
		}
		open = append(open, r)
	}
}

// frozenBefore says whether the run's process froze before the other began: it
// could not know that its lease had run out.
func (r *run) frozenBefore(other *run) bool {
	return anyTouches(r.process.Frozen, r.StartedAt, other.StartedAt)
}

// overslept says whether the process froze with the claimed job before it came
// to run it: others may have it by then.
func (r *run) overslept() bool {
	return anyTouches(r.process.Frozen, r.claimed.Add(-waitTime), r.StartedAt)
}
