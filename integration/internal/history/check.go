package history

import (
	"fmt"
	"time"

	"github.com/understudy-worker/understudy"
)

// MaxViolations is how many violations a Verdict tells.
const MaxViolations = 20

// Verdict is what a record proves.
type Verdict struct {
	Violations []string // the first of them
	Count      int      // all

	Jobs map[understudy.State]int
	Runs int
	Cut  int           // runs that a drain, a lost lease or a cancellation ended
	Lost int           // runs whose worker was lost
	Late time.Duration // the longest that a pod claimed what it ran, or began an epoch, after its role had ended
}

// judge checks a record.
type judge struct {
	*Record
	verdict *Verdict
	places  []*place
	pods    map[string]*pod
	runs    []*run // in the order of their starts
}

// Check judges the record:
//   - every job that was acknowledged is there, and is finished;
//   - an effect through CompleteTx was had once, and only with its job's completion;
//   - nothing was claimed, and no epoch began, but in a role that maps to the place;
//   - attempts, states and what handlers saw agree;
//   - no job ran twice at a time but where a process froze or a server crashed;
//   - no process worked in two places at a time;
//   - a process whose lease was over changed nothing;
//   - every epoch ended, and was lost only with a reason.
func (r *Record) Check() *Verdict {
	j := &judge{Record: r, verdict: &Verdict{Jobs: map[understudy.State]int{}}, pods: map[string]*pod{}}
	j.index()
	for _, p := range j.places {
		j.accounted(p)
		j.effects(p)
		j.attempts(p)
		j.fencing(p)
		j.concurrency(p)
		j.epochs(p)
	}
	j.roles()
	j.outcomes()
	j.onePlaceAtATime()
	j.figures()
	return j.verdict
}

func (j *judge) blame(format string, args ...any) {
	v := j.verdict
	if v.Count++; v.Count <= MaxViolations {
		v.Violations = append(v.Violations, fmt.Sprintf(format, args...))
	}
}

// figures counts what there was.
func (j *judge) figures() {
	v := j.verdict
	for _, p := range j.Places {
		for i := range p.Jobs {
			v.Jobs[p.Jobs[i].State]++
			v.Lost += p.Jobs[i].Losses
		}
	}
	v.Runs = len(j.Runs)
	for i := range j.Runs {
		if j.Runs[i].Outcome == OutcomeCut {
			v.Cut++
		}
	}
}

// String names a run in a violation.
func (r *run) String() string {
	return fmt.Sprintf("the run of job %d of %s in process %d of pod %s, from %s", r.JobID, r.Place, r.Process, r.Pod, clock(r.StartedAt))
}

// String names an epoch in a violation.
func (e *epoch) String() string {
	return fmt.Sprintf("epoch %s of pod %s as %q on %s", e.ID, e.Pod, e.Role, e.place.Name)
}

// clock is a time of day as violations show it.
func clock(t time.Time) string { return t.Format("15:04:05.000") }
