package history

import (
	"testing"
	"time"
)

// claimedAt has a run of pod a claimed at another time, with its attempt.
func claimedAt(at float64) func(story) {
	return func(s story) {
		r, row := s.ran(production, 3), s.row(production, 3)
		r.ClaimedAt = s.place(production).there(at)
		row.Attempts[0].StartedAt = &r.ClaimedAt
		_, e := s.find("a1")
		ended := s.place(production).there(at + 10)
		e.EndedAt = &ended
	}
}

func TestNothingIsClaimedAfterTheRoleHasEnded(t *testing.T) {
	t.Parallel()
	kept(t, claimedAt(12.9))
	spoiled(t, claimedAt(13.1), "the run of job 3 of production@A in process 1 of pod a, from 15:00:11.501 was claimed at 15:00:13.100, 3.1s after its pod's role had ended")
}

func TestAFrozenProcessNeedNotLearnOfItsRole(t *testing.T) {
	t.Parallel()
	freeze := func(long float64) func(story) {
		return func(s story) {
			s.process("a", 1).Frozen = []Interval{between(10.5, 10.5+long)}
			claimedAt(20)(s)
		}
	}
	kept(t, freeze(7.1))
	spoiled(t, freeze(6.9), "3.1s after its pod's role had ended")
}

func TestNothingIsClaimedBeforeTheRole(t *testing.T) {
	t.Parallel()
	spoiled(t, func(s story) {
		s.Stints[3].From = sec(14.002)
	}, "the run of job 4 of production@A in process 1 of pod b, from 15:00:14.001 was claimed at 15:00:14.000, when its pod had never had a role for that")
	kept(t, func(s story) { // as far as clocks can tell
		_, e := s.find("b2")
		s.Stints[3].From = e.StartedAt.Add(time.Millisecond - s.place(production).Offset)
	})
}

func TestNothingIsClaimedInARoleForAnotherPlace(t *testing.T) {
	t.Parallel()
	spoiled(t, func(s story) {
		s.place(production).Roles = map[string]bool{"stable": true}
	}, "the run of job 1 of production@A in process 1 of pod a, from 15:00:01.001 was claimed at 15:00:01.000, when its pod had never had a role for that")
	spoiled(t, func(s story) {
		s.Stints[4].From = sec(29.95)
	}, "job 26 of production@A, which was lost with its worker, was claimed at 15:00:29.900")
}

func TestAnEpochBeginsInItsOwnRole(t *testing.T) {
	t.Parallel()
	spoiled(t, func(s story) {
		_, e := s.find("c2")
		e.Role = "stable"
	}, `epoch c2 of pod c as "stable" on production@A was claimed at 15:00:45.500, when its pod had never had a role for that`)
}

func TestAClaimThatStuckOnItsWayIsNotLateIfNobodyWasTold(t *testing.T) {
	t.Parallel()
	late := func(cut ...Interval) func(story) {
		return func(s story) {
			again := s.Stints[4]
			s.Stints[4].To, again.From = sec(26), sec(31)
			s.Stints = append(s.Stints, again)
			s.place(production).Cut = append(s.place(production).Cut, cut...)
		}
	}
	spoiled(t, late(), "job 26 of production@A, which was lost with its worker, was claimed at 15:00:29.900, 3.9s after its pod's role had ended")
	kept(t, late(between(27, 28)))
	spoiled(t, late(between(27, 27.5), between(27, 27.5)), "3.4s after its pod's role had ended")
}
