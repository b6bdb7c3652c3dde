package history

import "testing"

// goesOn has the first run of a production job end later.
func goesOn(id int64, until float64) func(story) {
	return func(s story) { s.ran(production, id).EndedAt = sec(until) }
}

func TestNoJobRunsTwiceAtATime(t *testing.T) {
	t.Parallel()
	spoiled(t, goesOn(4, 14.5), "the run of job 4 of production@A in process 1 of pod a, from 15:00:09.001 had not ended when process 1 of pod b ran the job at 15:00:14.001")
	spoiled(t, goesOn(10, 34.5), "the run of job 10 of production@A in process 2 of pod b, from 15:00:32.001 had not ended when its process ran the job again at 15:00:34.001")
}

func TestARunThatNeverEndedLastsUntilItsProcessEnds(t *testing.T) {
	t.Parallel()
	spoiled(t, func(s story) {
		s.process("b", 1).Ended = sec(24.5)
	}, "the run of job 21 of production@A in process 1 of pod b, from 15:00:19.001 had not ended when process 2 of pod b ran the job at 15:00:24.001")
}

func TestAFrozenProcessMayNotKnowThatItsJobIsAnothers(t *testing.T) {
	t.Parallel()
	const frozen = "the run of job 25 of production@A in process 1 of pod c, from 15:00:29.001 had not ended when process 2 of pod b ran the job at 15:00:43.001"
	spoiled(t, func(s story) { s.process("c", 1).Frozen = nil }, frozen)
	spoiled(t, func(s story) { s.process("c", 1).Frozen = []Interval{between(44, 45)} }, frozen)
	const overslept = "the run of job 26 of production@A in process 2 of pod b, from 15:00:44.901 had not ended when process 1 of pod c ran the job at 15:00:45.001"
	spoiled(t, func(s story) { s.process("c", 1).Frozen = []Interval{between(30, 42)} }, overslept)
	kept(t, func(s story) { s.process("c", 1).Frozen = []Interval{between(30, 44)} })
}

func TestNoJobIsClaimedTwiceBeforeItWentBack(t *testing.T) {
	t.Parallel()
	const want = "are of one claim, or of two that nothing lay between"
	spoiled(t, claimedAgain, want)
	spoiled(t, func(s story) { s.place(production).Crashed = []Interval{between(55, 56)} }, want)
	spoiled(t, func(s story) { s.place(production).Crashed = []Interval{between(45, 46)} }, want)
}

// claimedAgain has the second run of job 4 claim what the first had not given back.
func claimedAgain(s story) {
	for i := range s.Runs {
		if r := &s.Runs[i]; r.JobID == 4 {
			r.Requeues = 0
		}
	}
}
