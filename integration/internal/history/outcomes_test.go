package history

import (
	"testing"
	"time"
)

func TestWhatAHandlerReturnedIsRecorded(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ outcome, want string }{
		{OutcomeCompleted, "in process 1 of pod a, from 15:00:09.001 ended completed in an epoch that lived on, and is no attempt of the job"},
		{OutcomeFailed, "ended failed in an epoch that lived on"},
		{OutcomeDiscarded, "ended discarded in an epoch that lived on"},
	} {
		spoiled(t, func(s story) { s.ran(production, 4).Outcome = c.outcome }, c.want)
	}
	spoiled(t, func(s story) { s.ran(production, 2).Outcome = OutcomeCompleted }, `ended completed, and is recorded with error "once"`)
	spoiled(t, func(s story) { s.place(production).Crashed = nil }, "the run of job 27 of production@A in process 2 of pod b, from 15:00:49.901 ended completed in an epoch that lived on")
}

func TestAnOutcomeMayBeGivenUpWhereTheServerIsCutOff(t *testing.T) {
	t.Parallel()
	cutOff := func(from, to float64) func(story) {
		return func(s story) {
			s.ran(production, 4).Outcome = OutcomeCompleted
			s.place(production).Cut = []Interval{between(from, to)}
		}
	}
	kept(t, cutOff(13, 20))
	spoiled(t, cutOff(9, 12), "ended completed in an epoch that lived on")
	frozen := func(s story) {
		s.process("a", 1).Frozen = []Interval{between(13, 20)}
		cutOff(20, 21)(s)
	}
	kept(t, frozen)
	spoiled(t, cutOff(20, 21), "ended completed in an epoch that lived on")
}

func TestAHandlerWhoseCommitWasNotConfirmedMayFail(t *testing.T) {
	t.Parallel()
	kept(t, func(s story) { s.ran(production, 9).Outcome = OutcomeFailed })
	spoiled(t, func(s story) {
		s.EffectKinds = nil
		s.ran(production, 9).Outcome = OutcomeFailed
	}, `ended failed, and is recorded with error ""`)
}

func TestARunLiesWithinItsEpoch(t *testing.T) {
	t.Parallel()
	spoiled(t, func(s story) {
		_, e := s.find("a1")
		e.StartedAt = e.StartedAt.Add(time.Second)
	}, "the run of job 1 of production@A in process 1 of pod a, from 15:00:01.001 was claimed at 15:00:01.000, before epoch a1")
	spoiled(t, func(s story) {
		_, e := s.find("a1")
		e.EndedAt = &e.StartedAt
	}, "from 15:00:01.001 was claimed at 15:00:01.000, after epoch a1 of pod a as \"active\" on production@A had ended")
	spoiled(t, func(s story) { s.process("c", 1).Frozen = nil }, "the run of job 26 of production@A in process 1 of pod c, from 15:00:45.001 was claimed at 15:00:45.000, after epoch c1")
}

func TestAProcessThatLeavesInGoodOrderLeavesNoRun(t *testing.T) {
	t.Parallel()
	spoiled(t, func(s story) {
		s.ran(production, 10).Outcome = ""
	}, "the run of job 10 of production@A in process 2 of pod b, from 15:00:32.001 had not ended when its process did in good order")
}

func TestARunBelongsToWhatIsKnown(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		change func(r *Run)
		want   string
	}{
		{func(r *Run) { r.Place = "elsewhere" }, "the run of job 1 of elsewhere in process 1 of pod a, from 15:00:01.001 is of schema \"production\", which is not that of a known place"},
		{func(r *Run) { r.Schema = "preview" }, `is of schema "preview", which is not that of a known place`},
		{func(r *Run) { r.Process = 7 }, "in process 7 of pod a, from 15:00:01.001 is of a process that nobody started"},
		{func(r *Run) { r.Epoch = "b1" }, "is of epoch b1, which is no worker of that pod there"},
		{func(r *Run) { r.Epoch = "b2" }, "is of epoch b2, which is no worker of that pod there"},
		{func(r *Run) { r.JobID = 99 }, "the run of job 99 of production@A in process 1 of pod a, from 15:00:01.001 is of a job that is not there"},
	} {
		spoiled(t, func(s story) { c.change(s.ran(production, 1)) }, c.want)
	}
	spoiled(t, func(s story) { s.ran(production, 21).Process = 2 }, "is of epoch b2, which is that of process")
}
