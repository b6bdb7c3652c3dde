package history

// epochs checks that every epoch ended, and that one which was lost had a
// reason to be.
func (j *judge) epochs(p *place) {
	for i := range p.Epochs {
		switch e := p.epochs[p.Epochs[i].ID]; {
		case e.State == "ended":
		case !e.mayBeLost():
			j.blame("%s is %s, and its process was neither killed nor frozen nor cut off", e, e.State)
		case e.State != "lost" && !p.Unattended:
			j.blame("%s is still %s: nobody has found it lost", e, e.State)
		}
	}
}

// mayBeLost says whether something happened to the epoch's process or server
// while both lasted.
func (e *epoch) mayBeLost() bool {
	process, until := e.process, e.ended
	if end := process.end(); end.Before(until) {
		until = end
	}
	return (process.Killed || process.Exit != 0) && until.Equal(process.Ended) ||
		anyTouches(process.Frozen, e.started, until) ||
		anyTouches(e.place.Crashed, e.started, until) ||
		anyTouches(e.place.Cut, e.started, until)
}
