package history

import (
	"testing"
	"time"
)

func TestAProcessNeverWorksInTwoPlaces(t *testing.T) {
	t.Parallel()
	spoiled(t, func(s story) {
		s.ran(preview, 1).EndedAt = sec(14.5)
	}, "the run of job 1 of preview@B in process 1 of pod b, from 15:00:05.001 had not ended when its process began to run job 4 of production@A at 15:00:14.001")
	spoiled(t, func(s story) {
		r := s.ran(preview, 1)
		r.Outcome, r.EndedAt = "", time.Time{}
	}, "the run of job 1 of preview@B in process 1 of pod b, from 15:00:05.001 had not ended when its process began")
}

func TestEpochsOfAProcessDoNotOverlap(t *testing.T) {
	t.Parallel()
	until := func(epoch string, to float64) func(story) {
		return func(s story) {
			p, e := s.find(epoch)
			ended := p.there(to)
			e.EndedAt = &ended
		}
	}
	kept(t, until("b1", 10.401))
	spoiled(t, until("b1", 10.5), `epoch b2 of pod b as "active" on production@A began at 15:00:10.400, when epoch b1 of pod b as "preview" on preview@B lasted until 15:00:10.500`)
}

func TestAnEpochMayEndLateOnAServerThatWasCutOff(t *testing.T) {
	t.Parallel()
	late := func(s story) {
		p, e := s.find("b1")
		ended := p.there(15)
		e.EndedAt = &ended
		p.Cut = []Interval{between(8, 15)}
	}
	kept(t, late)
	spoiled(t, func(s story) {
		late(s)
		s.ran(preview, 1).EndedAt = sec(10.5)
	}, `epoch b2 of pod b as "active" on production@A began at 15:00:10.400, when epoch b1 of pod b as "preview" on preview@B lasted until 15:00:10.500`)
}

func TestALostEpochEndedWithItsLastRun(t *testing.T) {
	t.Parallel()
	spoiled(t, func(s story) {
		s.ran(production, 25).EndedAt = sec(45.6)
	}, "epoch c2 of pod c as \"active\" on production@A began at 15:00:45.500, when epoch c1 of pod c as \"active\" on production@A lasted until 15:00:45.600")
}
