package history

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/understudy-worker/understudy"
)

func TestAVerdictIsAFewAlignedLines(t *testing.T) {
	t.Parallel()
	v := &Verdict{
		Jobs: map[understudy.State]int{understudy.StateDiscarded: 3, understudy.StateCompleted: 100},
		Runs: 120, Cut: 10, Lost: 4, Late: 1234567 * time.Microsecond, Count: 3, Violations: []string{"one", "two"},
	}
	const want = `jobs        100 completed, 3 discarded
runs        120, 10 of them cut short; 4 jobs lost with their worker
roles       latest claim 1.235s after its role had ended
violations  3
  one
  two
  and 1 more
`
	if diff := cmp.Diff(want, v.String()); diff != "" {
		t.Errorf("verdict (-want +got):\n%s", diff)
	}
}

func TestOnlyTheFirstViolationsAreTold(t *testing.T) {
	t.Parallel()
	s := rehearsed()
	p := s.place(production)
	for id := range int64(100) {
		p.Enqueued = append(p.Enqueued, 1000+id)
	}
	v := s.Check()
	want := fmt.Sprintf("job %d of production@A is gone", 1000+MaxViolations-1)
	if v.Count != 100 || len(v.Violations) != MaxViolations || v.Violations[MaxViolations-1] != want {
		t.Errorf("%d violations:\n%s", v.Count, v)
	}
}
