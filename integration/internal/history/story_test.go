package history

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/store"
)

// sec is the time that many seconds into a recorded run.
func sec(s float64) time.Time {
	return time.Date(2026, 1, 2, 15, 0, 0, 0, time.UTC).Add(time.Duration(s * float64(time.Second)))
}

// between is an interval of seconds.
func between(from, to float64) Interval { return Interval{sec(from), sec(to)} }

// story is a record that is told by the second, by the tester's clock.
type story struct{ *Record }

// place is the place of that name.
func (s story) place(name string) *Place {
	i := slices.IndexFunc(s.Places, func(p Place) bool { return p.Name == name })
	return &s.Places[i]
}

// there is a time by the clock of the place's database.
func (p *Place) there(at float64) time.Time { return sec(at).Add(p.Offset) }

// epoch adds an epoch that lasted so long, and was lost or ended.
func (s story) epoch(place, id, pod, role, state string, from, to float64) {
	p := s.place(place)
	ended := p.there(to)
	p.Epochs = append(p.Epochs, store.WorkerRow{
		ID: id, Pod: pod, Role: role, State: state, StartedAt: p.there(from), EndedAt: &ended,
	})
}

// find finds an epoch, and its place.
func (s story) find(id string) (*Place, *store.WorkerRow) {
	for i := range s.Places {
		p := &s.Places[i]
		if n := slices.IndexFunc(p.Epochs, func(e store.WorkerRow) bool { return e.ID == id }); n >= 0 {
			return p, &p.Epochs[n]
		}
	}
	panic("no epoch " + id)
}

// job adds a job to a place. What happened to it follows.
func (s story) job(place string, id int64, kind string) *teller {
	p := s.place(place)
	p.Enqueued = append(p.Enqueued, id)
	p.Jobs = append(p.Jobs, store.JobRow{ID: id, Kind: kind, State: understudy.StateAvailable, MaxAttempts: 25})
	return &teller{story: s, place: p, row: &p.Jobs[len(p.Jobs)-1]}
}

// row is a job's row.
func (s story) row(place string, id int64) *store.JobRow {
	p := s.place(place)
	return &p.Jobs[slices.IndexFunc(p.Jobs, func(j store.JobRow) bool { return j.ID == id })]
}

// ran is the first run of a job.
func (s story) ran(place string, id int64) *Run {
	return &s.Runs[slices.IndexFunc(s.Runs, func(r Run) bool { return r.Place == place && r.JobID == id })]
}

// process is a process.
func (s story) process(pod string, n int) *Process {
	return &s.Processes[slices.IndexFunc(s.Processes, func(p Process) bool { return p.Pod == pod && p.N == n })]
}

// teller tells what happened to a job, the earliest first.
type teller struct {
	story
	place    *Place
	row      *store.JobRow
	requeues int
}

// seen adds a run, as its process noted it. An end before its start is none.
func (t *teller) seen(epoch string, process int, from, to float64, outcome string) *teller {
	_, e := t.find(epoch)
	r := Run{
		Pod: e.Pod, Process: process, Target: t.place.Name, Place: t.place.Name, Schema: t.place.Schema,
		JobID: t.row.ID, Kind: t.row.Kind, Attempt: t.row.Attempt + 1, Epoch: epoch, Requeues: t.requeues,
		ClaimedAt: t.place.there(from), StartedAt: sec(from).Add(time.Millisecond), Outcome: outcome,
	}
	if to > from {
		r.EndedAt = sec(to)
	}
	t.Runs = append(t.Runs, r)
	return t
}

// back returns the job to its queue, uncharged.
func (t *teller) back() *teller {
	t.requeues++
	return t
}

// attempt adds an attempt, as the database keeps it.
func (t *teller) attempt(epoch string, from, to float64, err string) {
	_, e := t.find(epoch)
	started, finished := t.place.there(from), t.place.there(to)
	t.row.Attempts = append(t.row.Attempts, store.Attempt{
		Number: t.row.Attempt + 1, Worker: epoch, Role: e.Role, StartedAt: &started, FinishedAt: &finished, Error: err,
	})
	t.row.Attempts = t.row.Attempts[max(0, len(t.row.Attempts)-keptAttempts):]
	t.row.WorkerID = epoch
}

// failed charges an attempt.
func (t *teller) failed(epoch string, from, to float64, err string) *teller {
	t.attempt(epoch, from, to+0.01, err)
	t.row.Attempt++
	return t.back()
}

// lost charges nothing, and counts the loss.
func (t *teller) lost(epoch string, from, found float64) *teller {
	t.attempt(epoch, from, found, workerLost)
	t.row.Losses++
	return t.back()
}

// is ends the job in a state, by its last attempt.
func (t *teller) is(state understudy.State) *teller {
	t.row.State = state
	return t
}

// completed completes the job.
func (t *teller) completed(epoch string, from, to float64) *teller {
	t.attempt(epoch, from, to+0.01, "")
	t.row.Attempt++
	return t.is(understudy.StateCompleted)
}

// worked is a run that completed the job.
func (t *teller) worked(epoch string, process int, from, to float64) *teller {
	return t.seen(epoch, process, from, to, OutcomeCompleted).completed(epoch, from, to)
}

// effect adds the job's effect.
func (t *teller) effect(pod string) *teller {
	t.place.Effects = append(t.place.Effects, Effect{JobID: t.row.ID, Pod: pod})
	return t
}

// spoiled spoils the story in which all went well, and expects to hear of it.
func spoiled(t *testing.T, spoil func(s story), want string) {
	t.Helper()
	s := rehearsed()
	spoil(s)
	v := s.Check()
	for _, violation := range v.Violations {
		if strings.Contains(violation, want) {
			return
		}
	}
	t.Errorf("nothing is said of %q but:\n%s", want, v)
}

// kept checks that a change to the story is not blamed.
func kept(t *testing.T, change func(s story)) {
	t.Helper()
	s := rehearsed()
	change(s)
	if v := s.Check(); v.Count > 0 {
		t.Errorf("is blamed:\n%s", v)
	}
}
