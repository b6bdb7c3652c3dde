package history

import (
	"fmt"
	"time"

	"github.com/understudy-worker/understudy/store"
)

// ReadTime is the longest that a worker may take to learn of a label: it reads
// the files every two seconds even if nothing tells it to.
const ReadTime = 3 * time.Second

// roles checks that every job was claimed, and every epoch began, in a role
// that maps to the place.
func (j *judge) roles() {
	for _, r := range j.runs {
		j.inRole(deed{what: r, by: r.process, place: r.place, at: r.claimed})
	}
	for _, p := range j.places {
		for i := range p.Epochs {
			e := p.epochs[p.Epochs[i].ID]
			j.inRole(deed{what: e, by: e.process, place: p, at: e.started, role: e.Role})
		}
		for i := range p.Jobs {
			j.lostInRole(p, &p.Jobs[i])
		}
	}
}

// lostInRole checks the claims that were lost with their workers: they need
// not have come to a run.
func (j *judge) lostInRole(p *place, job *store.JobRow) {
	for _, a := range job.Attempts {
		if e := p.epochs[a.Worker]; e != nil && a.Error == workerLost && a.StartedAt != nil {
			j.inRole(deed{what: lostClaim{p, job.ID}, by: e.process, place: p, at: p.local(*a.StartedAt), lost: true})
		}
	}
}

// deed is something that only a pod with a role may do.
type deed struct {
	what  fmt.Stringer
	by    *Process
	place *place
	at    time.Time // by the tester's clock
	role  string    // the only one for it; "" for any that maps to the place
	lost  bool      // nobody may have been told of it
}

// inRole checks that the pod had a role for the deed, or had it so shortly
// before that its process need not know better.
func (j *judge) inRole(d deed) {
	least := time.Duration(-1)
	for _, s := range j.pod(d.by.Pod).stints {
		if d.place.Roles[s.Role] && (d.role == "" || d.role == s.Role) {
			if late := d.after(s); late >= 0 && (least < 0 || late < least) {
				least = late
			}
		}
	}
	switch {
	case least < 0:
		j.blame("%s was claimed at %s, when its pod had never had a role for that", d.what, clock(d.at))
	case least > ReadTime+d.place.Uncertainty:
		j.blame("%s was claimed at %s, %s after its pod's role had ended", d.what, clock(d.at), least.Round(time.Millisecond))
	case !d.lost:
		j.verdict.Late = max(j.verdict.Late, least)
	}
}

// after is how long after the stint the deed was, but for the time in which
// the process was frozen and could learn nothing: zero within the stint, and
// negative before it. What was sent in time and stuck on its way, in a wire or
// in a server that stood still, is not late for that, if nobody was told.
func (d *deed) after(s Stint) time.Duration {
	switch {
	case d.at.Before(s.From.Add(-d.place.Uncertainty)):
		return -1
	case s.To.IsZero() || !d.at.After(s.To):
		return 0
	}
	late := d.at.Sub(s.To)
	for _, f := range d.by.Frozen {
		late -= f.length(s.To, d.at)
	}
	if d.lost {
		late -= longest(d.place.Cut, s.To, d.at)
	}
	return max(late, 0)
}

// lostClaim names a claim that was lost with its worker.
type lostClaim struct {
	place *place
	job   int64
}

func (c lostClaim) String() string {
	return fmt.Sprintf("job %d of %s, which was lost with its worker,", c.job, c.place.Name)
}
