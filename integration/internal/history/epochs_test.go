package history

import "testing"

func TestAnEpochIsLostOnlyForAReason(t *testing.T) {
	t.Parallel()
	lost := func(epoch string) func(story) {
		return func(s story) {
			_, e := s.find(epoch)
			e.State = "lost"
		}
	}
	spoiled(t, lost("a1"), `epoch a1 of pod a as "active" on production@A is lost, and its process was neither killed nor frozen nor cut off`)
	spoiled(t, func(s story) { s.process("b", 1).Killed, s.process("b", 1).Exit = false, 0 }, "epoch b2 of pod b as \"active\" on production@A is lost")
	spoiled(t, lost("b1"), "epoch b1 of pod b as \"preview\" on preview@B is lost") // its process was killed later
	spoiled(t, func(s story) { s.process("c", 1).Frozen = nil }, "epoch c1 of pod c as \"active\" on production@A is lost")
}

func TestAnEpochMayBeLostToItsProcessOrItsServer(t *testing.T) {
	t.Parallel()
	lost := func(s story) {
		_, e := s.find("b3")
		e.State = "lost"
	}
	kept(t, lost) // the server crashed
	kept(t, func(s story) {
		_, e := s.find("a1")
		e.State = "lost"
		s.place(production).Cut = []Interval{between(11, 13)}
	})
	kept(t, func(s story) { s.process("b", 1).Killed, s.process("b", 1).Exit = false, 3 })
}

func TestAnEpochThatGoesOnAtTheEndIsNoticed(t *testing.T) {
	t.Parallel()
	serving := func(id string) func(story) {
		return func(s story) {
			_, e := s.find(id)
			e.State, e.EndedAt = "serving", nil
		}
	}
	spoiled(t, serving("b3"), "epoch b3 of pod b as \"active\" on production@A is still serving: nobody has found it lost")
	spoiled(t, serving("a1"), "epoch a1 of pod a as \"active\" on production@A is serving, and its process was neither killed")
	kept(t, func(s story) { // in a place that nobody serves any more
		s.epoch(preview, "b0", "b", "preview", "serving", 0.1, 0)
		_, e := s.find("b0")
		e.EndedAt = nil
		s.Processes = append(s.Processes, Process{Pod: "b", N: 3, Started: sec(-1), Ended: sec(0.5), Killed: true})
		s.process("b", 1).Started = sec(0.55)
		s.Stints[2].From = sec(-1)
	})
}

func TestAnEpochIsThatOfAProcess(t *testing.T) {
	t.Parallel()
	spoiled(t, func(s story) {
		s.epoch(production, "b4", "b", "active", "ended", 20.2, 20.3)
	}, "epoch b4 of pod b as \"active\" on production@A began at 15:00:20.200, when its pod had no process")
}
