package history

import (
	"slices"
	"time"
)

// onePlaceAtATime checks that no process begins to work in a place before it
// has ended in every other.
func (j *judge) onePlaceAtATime() {
	runs := map[*Process][]*run{}
	for _, r := range j.runs {
		runs[r.process] = append(runs[r.process], r)
	}
	epochs := map[*Process][]*epoch{}
	for _, p := range j.places {
		for i := range p.Epochs {
			e := p.epochs[p.Epochs[i].ID]
			epochs[e.process] = append(epochs[e.process], e)
		}
	}
	for i := range j.Processes {
		process := &j.Processes[i]
		j.runsApart(runs[process])
		j.epochsApart(epochs[process])
	}
}

// runsApart checks that no run begins while one of another place goes on.
func (j *judge) runsApart(runs []*run) {
	last := map[*place]*run{} // the one that ends last
	for _, r := range runs {
		for p, before := range last {
			if p != r.place && before.until.After(r.StartedAt) {
				j.blame("%s had not ended when its process began to run job %d of %s at %s", before, r.JobID, r.Place, clock(r.StartedAt))
			}
		}
		if before := last[r.place]; before == nil || r.until.After(before.until) {
			last[r.place] = r
		}
	}
}

// epochsApart checks that no epoch begins before another has ended.
func (j *judge) epochsApart(epochs []*epoch) {
	slices.SortFunc(epochs, func(a, b *epoch) int { return a.started.Compare(b.started) })
	var last *epoch // the one that ends last
	for _, e := range epochs {
		if last != nil && last.over().After(e.started.Add(last.place.Uncertainty+e.place.Uncertainty)) {
			j.blame("%s began at %s, when %s lasted until %s", e, clock(e.started), last, clock(last.over()))
		}
		if last == nil || e.over().After(last.over()) {
			last = e
		}
	}
}

// over is when the epoch was over for its process. Where it was lost, or its
// server could not be told in time, that was before the database says so.
func (e *epoch) over() time.Time {
	over, last := e.ended, e.started
	if e.lastRun.After(last) {
		last = e.lastRun
	}
	if e.State == "lost" || anyTouches(e.place.Cut, last, e.ended) {
		over = last
	}
	if end := e.process.end(); end.Before(over) {
		return end
	}
	return over
}
