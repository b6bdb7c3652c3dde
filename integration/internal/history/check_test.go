package history

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-worker/understudy"
)

// rehearsed is a story in which everything happens, and all is well.
//
// Pod a is active until second 10, pod b from then on. Its first process, with
// epochs b1 in preview and b2, is killed at second 20; b3 is the next one's. Pod c is
// active from second 12; it is frozen from 30 to 45, which loses c1 to c2. At
// second 50 the server of production crashes.
func rehearsed() story {
	s := story{&Record{EffectKinds: map[string]bool{"effect": true}, MaxLosses: 2}}
	s.Places = []Place{
		{
			Name: "production@A", Schema: "production", Roles: map[string]bool{"active": true, "stable": true},
			Crashed: []Interval{between(50, 52)}, Offset: 90 * time.Second, Uncertainty: time.Millisecond,
		},
		{
			Name: "preview@B", Schema: "preview", Roles: map[string]bool{"preview": true}, Unattended: true,
			Offset: -40 * time.Second, Uncertainty: time.Millisecond,
		},
	}
	s.Stints = []Stint{
		{"a", "active", sec(0), sec(10)}, {"a", "", sec(10), sec(40)},
		{"b", "preview", sec(0), sec(10)}, {"b", "active", sec(10), time.Time{}},
		{"c", "active", sec(12), time.Time{}},
	}
	s.Processes = []Process{
		{Pod: "a", N: 1, Started: sec(0), Ended: sec(40)},
		{Pod: "b", N: 1, Started: sec(0), Ended: sec(20), Killed: true, Exit: -1},
		{Pod: "b", N: 2, Started: sec(20.5), Ended: sec(61)},
		{Pod: "c", N: 1, Started: sec(12), Frozen: []Interval{between(30, 45)}},
	}
	s.epoch("production@A", "a1", "a", "active", "ended", 0.5, 12.9)
	s.epoch("preview@B", "b1", "b", "preview", "ended", 0.6, 10.3)
	s.epoch("production@A", "b2", "b", "active", "lost", 10.4, 23)
	s.epoch("production@A", "b3", "b", "active", "ended", 21, 60)
	s.epoch("production@A", "c1", "c", "active", "lost", 12.5, 42)
	s.epoch("production@A", "c2", "c", "active", "ended", 45.5, 60)
	s.ordinaryJobs()
	s.unluckyJobs()
	s.previewJobs()
	return s
}

// ordinaryJobs are those that nothing happens to but what they ask for.
func (s story) ordinaryJobs() {
	const place = "production@A"
	s.job(place, 1, "note").worked("a1", 1, 1, 2)
	s.job(place, 2, "flaky").seen("a1", 1, 2, 3, OutcomeFailed).failed("a1", 2, 3, "once").worked("b3", 2, 25, 26)
	s.job(place, 3, "note").worked("a1", 1, 11.5, 11.6) // before the label was read
	s.job(place, 4, "slow").seen("a1", 1, 9, 12.8, OutcomeCut).back().worked("b2", 1, 14, 15)
	s.job(place, 5, "hopeless").seen("b3", 2, 30, 31, OutcomeDiscarded).
		failed("b3", 30, 31, "discard: hopeless").is(understudy.StateDiscarded)
	s.job(place, 6, "flaky").seen("b3", 2, 30, 31, OutcomeFailed).failed("b3", 30, 31, "once").is(understudy.StateDiscarded).
		row.MaxAttempts = 1
	s.job(place, 7, "note").is(understudy.StateCancelled)
	s.job(place, 8, "slow").seen("b3", 2, 30, 32, OutcomeCut).failed("b3", 30, 32, "the job was cancelled").is(understudy.StateCancelled)
	s.job(place, 9, "effect").worked("b3", 2, 31, 31.2).effect("b")
	s.job(place, 10, "sleepy").seen("b3", 2, 32, 33, OutcomeSnoozed).back().worked("b3", 2, 34, 35)
	flaky := s.job(place, 11, "flaky")
	for i := range 120 {
		at := 24 + float64(i)*0.1
		flaky.seen("b3", 2, at, at+0.05, OutcomeFailed).failed("b3", at, at+0.05, fmt.Sprintf("time %d", i+1))
	}
	flaky.worked("b3", 2, 39, 40)
}

// unluckyJobs are those whose process or server is killed or frozen.
func (s story) unluckyJobs() {
	const place = "production@A"
	s.job(place, 21, "slow").seen("b2", 1, 19, 0, "").lost("b2", 19, 23).worked("b3", 2, 24, 25)
	s.job(place, 22, "slow").lost("b2", 19.9, 23).worked("b3", 2, 24, 25) // it had not come to a run
	s.job(place, 23, "effect").seen("b2", 1, 19, 0, "").completed("b2", 19, 19.9).effect("b")
	s.job(place, 24, "slow").lost("b2", 19.9, 23).seen("c1", 1, 29, 45.1, OutcomeCut).lost("c1", 29, 42.5).is(understudy.StateDiscarded).
		row.Attempt = 1 // the last loss is charged
	s.job(place, 25, "slow").seen("c1", 1, 29, 45.1, OutcomeCut).lost("c1", 29, 42).worked("b3", 2, 43, 46)
	// Pod c wakes up, begins what it had claimed before, and learns better.
	s.job(place, 26, "slow").seen("c1", 1, 45, 45.1, OutcomeCut).lost("c1", 29.9, 42).worked("b3", 2, 44.9, 46)
	// The claim's commit was not on disk yet.
	s.job(place, 27, "slow").seen("b3", 2, 49.9, 52.5, OutcomeCompleted).worked("c2", 1, 52.1, 53)
	// The commit was, and its reply was lost.
	s.job(place, 28, "effect").seen("b3", 2, 49, 50.1, OutcomeFailed).completed("b3", 49, 49.9).effect("b")
	s.job(place, 29, "slow").lost("c1", 29.9, 42).is(understudy.StateCancelled).row.WorkerID = "" // while it waited again
}

func (s story) previewJobs() {
	const place = "preview@B"
	s.job(place, 1, "note").worked("b1", 1, 5, 6)
	s.job(place, 2, "note")
}

func TestAStoryInWhichAllWentWellIsNotBlamed(t *testing.T) {
	t.Parallel()
	got := rehearsed().Check()
	want := &Verdict{
		Jobs: map[understudy.State]int{
			understudy.StateAvailable: 1, understudy.StateCompleted: 15, understudy.StateDiscarded: 3, understudy.StateCancelled: 3,
		},
		Runs: 146, Cut: 5, Lost: 7, Late: 1500 * time.Millisecond,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("verdict (-want +got):\n%s", diff)
	}
}
