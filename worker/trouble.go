package worker

import (
	"cmp"
	"slices"
	"time"

	"github.com/understudy-worker/understudy"
)

// trouble is an outcome that was sent and could not be written yet.
type trouble struct {
	outcome    understudy.Outcome
	due        time.Time // when it is sent again
	sent       bool      // it is under way, or part of a write that failed
	deferrals  int
	rejections int
}

// troubled are such outcomes by job. They are sent apart from the others: a
// job that somebody has locked would hold those up.
type troubled map[*understudy.Job]*trouble

// deferred notes that the outcome's job is locked: it is sent again, ever later.
func (t troubled) deferred(before *trouble, o understudy.Outcome, now time.Time) {
	next := trouble{outcome: o, deferrals: 1}
	if before != nil {
		next.deferrals = before.deferrals + 1
		next.rejections = before.rejections
	}
	next.due = now.Add(retryWait(next.deferrals))
	t[o.Job] = &next
}

// due returns the outcomes whose time has come, the oldest job first.
func (t troubled) due(now time.Time) []understudy.Outcome {
	var due []understudy.Outcome
	for _, one := range t {
		if !one.sent && !one.due.After(now) && len(due) < maxRecord {
			one.sent = true
			due = append(due, one.outcome)
		}
	}
	slices.SortFunc(due, func(a, b understudy.Outcome) int { return cmp.Compare(a.Job.ID, b.Job.ID) })
	return due
}

// unsent returns the outcomes that are not under way, whatever their time.
func (t troubled) unsent() []understudy.Outcome {
	var unsent []understudy.Outcome
	for _, one := range t {
		if !one.sent {
			unsent = append(unsent, one.outcome)
		}
	}
	return unsent
}

// next says when the next outcome is due; zero when there is none.
func (t troubled) next() time.Time {
	var next time.Time
	for _, one := range t {
		if !one.sent && (next.IsZero() || one.due.Before(next)) {
			next = one.due
		}
	}
	return next
}

// take removes what is known of these outcomes, and returns it.
func (t troubled) take(outcomes []understudy.Outcome) map[*understudy.Job]*trouble {
	if len(t) == 0 {
		return nil
	}
	taken := map[*understudy.Job]*trouble{}
	for _, o := range outcomes {
		if one := t[o.Job]; one != nil {
			taken[o.Job] = one
			delete(t, o.Job)
		}
	}
	return taken
}
