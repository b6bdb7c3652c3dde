package worker

import "time"

const (
	// aheadFor is for how long claimed jobs keep the handlers busy.
	aheadFor = 100 * time.Millisecond
	// maxAhead is the most jobs that are claimed ahead of a free slot.
	maxAhead = 4000
	// paceWeight is how many jobs the mean looks back on, about.
	paceWeight = 16
)

// pace is how quick the handlers of one queue are: an exponentially weighted
// mean. It is taken of the time that jobs take, rather than of how many are
// done, so that it does not sink where slots wait for claims.
type pace struct{ mean time.Duration }

// newPace presumes slow handlers.
func newPace() pace { return pace{mean: aheadFor} }

func (p *pace) observe(took time.Duration) { p.mean += (took - p.mean) / paceWeight }

// ahead is how many jobs that many slots finish in aheadFor; 0 where a slot
// does not finish one.
func (p *pace) ahead(slots int) int {
	if p.mean >= aheadFor {
		return 0
	}
	return int(min(int64(slots)*int64(aheadFor/max(p.mean, 1)), maxAhead))
}
