package history

import "testing"

func TestALostEpochChangesNothing(t *testing.T) {
	t.Parallel()
	recorded := func(at float64) func(story) {
		return func(s story) {
			finished := s.place(production).there(at)
			s.row(production, 4).Attempts[0].FinishedAt = &finished
		}
	}
	kept(t, recorded(23.9)) // before its jobs were taken
	spoiled(t, recorded(25), "attempt 1 of job 4 of production@A was recorded 2s after epoch b2")
}

func TestAnEpochThatLostAJobDoesNotChangeIt(t *testing.T) {
	t.Parallel()
	spoiled(t, func(s story) {
		s.row(production, 21).Attempts[1].Worker = "b2"
	}, `job 21 of production@A was lost by epoch b2, which then changed it (attempt 1, error "")`)
}
