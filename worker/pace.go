package worker

import "time"

const (
	// aheadFor is for how long claimed jobs keep the handlers busy.
	aheadFor = 100 * time.Millisecond
	// rateFor is for how long they may at the rate at which jobs are really done.
	rateFor = 300 * time.Millisecond
	// maxAhead is the most jobs that are claimed ahead of a free slot, and
	// minAhead how many may be, where handlers are quick, before it is known
	// how many are done in a while.
	maxAhead, minAhead = 4000, 200
	// paceWeight is how many jobs the mean looks back on, about.
	paceWeight = 16
	// rateWindow is how long jobs are counted for one look at their rate, of
	// which the last rateWeight count, about.
	rateWindow, rateWeight = 10 * time.Millisecond, 4
)

// pace is how quick the handlers of one queue are, and how many jobs are done
// in a while: exponentially weighted means. The first is taken of the time that
// jobs take, so that it does not sink where slots wait for claims. The second
// sees what the first does not: other workers, a slow server, a busy machine.
type pace struct {
	mean  time.Duration // of one job
	rate  float64       // jobs a second
	done  int           // jobs since then
	since time.Time
}

// newPace presumes slow handlers.
func newPace() pace { return pace{mean: aheadFor} }

func (p *pace) observe(took time.Duration) {
	p.mean += (took - p.mean) / paceWeight
	p.done++
}

// ahead is how many jobs that many slots finish in aheadFor, or are done in
// rateFor if that is less; 0 where a slot does not finish one.
func (p *pace) ahead(slots int, now time.Time) int {
	if elapsed := now.Sub(p.since); elapsed >= rateWindow {
		p.rate += (float64(p.done)/elapsed.Seconds() - p.rate) / rateWeight
		p.done, p.since = 0, now
	}
	if p.mean >= aheadFor {
		return 0
	}
	able := int(min(int64(slots)*int64(aheadFor/max(p.mean, 1)), maxAhead))
	return min(able, max(int(p.rate*rateFor.Seconds()), minAhead))
}
