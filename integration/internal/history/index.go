package history

import (
	"slices"
	"time"

	"github.com/understudy-worker/understudy/store"
)

// endless is the end of what has none.
var endless = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// place is a Place by its keys.
type place struct {
	*Place
	jobs    map[int64]*store.JobRow
	epochs  map[string]*epoch
	runs    map[int64][]*run // by job, in the order of their starts
	effects map[int64][]Effect
}

// epoch is an epoch and its process. Times are by the tester's clock.
type epoch struct {
	*store.WorkerRow
	place          *place
	process        *Process
	started, ended time.Time // it ended, or was found lost; endless while it lasts
	lastRun        time.Time // when its last run was over; zero without one
}

// run is a run with what it belongs to.
type run struct {
	*Run
	place   *place
	epoch   *epoch
	process *Process
	claimed time.Time // ClaimedAt by the tester's clock
	until   time.Time // it ended, or its process did; endless while it lasts
}

// pod is what is known of one pod.
type pod struct {
	stints    []Stint
	processes []*Process
}

// index puts the record in order. What belongs to nothing is blamed here, and
// not judged any further.
func (j *judge) index() {
	for i := range j.Places {
		j.places = append(j.places, newPlace(&j.Places[i]))
	}
	for _, s := range j.Stints {
		p := j.pod(s.Pod)
		p.stints = append(p.stints, s)
	}
	for i := range j.Processes {
		p := j.pod(j.Processes[i].Pod)
		p.processes = append(p.processes, &j.Processes[i])
	}
	j.indexRuns()
	for _, p := range j.places {
		j.ownEpochs(p)
	}
}

func newPlace(from *Place) *place {
	p := &place{
		Place:   from,
		jobs:    make(map[int64]*store.JobRow, len(from.Jobs)),
		epochs:  make(map[string]*epoch, len(from.Epochs)),
		runs:    make(map[int64][]*run, len(from.Jobs)),
		effects: make(map[int64][]Effect, len(from.Effects)),
	}
	for i := range from.Jobs {
		p.jobs[from.Jobs[i].ID] = &from.Jobs[i]
	}
	for i := range from.Epochs {
		e := &epoch{WorkerRow: &from.Epochs[i], place: p, ended: endless}
		e.started = p.local(e.StartedAt)
		if e.EndedAt != nil {
			e.ended = p.local(*e.EndedAt)
		}
		p.epochs[e.ID] = e
	}
	for _, e := range from.Effects {
		p.effects[e.JobID] = append(p.effects[e.JobID], e)
	}
	return p
}

// pod is the pod of that name.
func (j *judge) pod(name string) *pod {
	if j.pods[name] == nil {
		j.pods[name] = &pod{}
	}
	return j.pods[name]
}

func (j *judge) indexRuns() {
	for i := range j.Runs {
		if r := j.resolve(&j.Runs[i]); r != nil {
			j.runs = append(j.runs, r)
		}
	}
	slices.SortStableFunc(j.runs, func(a, b *run) int { return a.StartedAt.Compare(b.StartedAt) })
	for _, r := range j.runs {
		r.place.runs[r.JobID] = append(r.place.runs[r.JobID], r)
		if r.until.After(r.epoch.lastRun) {
			r.epoch.lastRun = r.until
		}
	}
}

// resolve finds what a run belongs to; nil where something of it is unknown.
func (j *judge) resolve(from *Run) *run {
	r := &run{Run: from, until: from.EndedAt}
	i := slices.IndexFunc(j.places, func(p *place) bool { return p.Name == from.Place && p.Schema == from.Schema })
	if i < 0 {
		j.blame("%s is of schema %q, which is not that of a known place", r, from.Schema)
		return nil
	}
	r.place = j.places[i]
	r.claimed = r.place.local(from.ClaimedAt)
	r.process = j.process(from.Pod, from.Process)
	r.epoch = r.place.epochs[from.Epoch]
	switch {
	case r.process == nil:
		j.blame("%s is of a process that nobody started", r)
	case r.epoch == nil || r.epoch.Pod != from.Pod:
		j.blame("%s is of epoch %s, which is no worker of that pod there", r, from.Epoch)
	case r.epoch.process != nil && r.epoch.process != r.process:
		j.blame("%s is of epoch %s, which is that of process %d", r, from.Epoch, r.epoch.process.N)
	case r.place.jobs[from.JobID] == nil:
		j.blame("%s is of a job that is not there", r)
	default:
		r.epoch.process = r.process
		if r.until.IsZero() {
			r.until = r.process.end()
		}
		return r
	}
	return nil
}

// process is the n-th process of a pod; nil where there is none.
func (j *judge) process(pod string, n int) *Process {
	processes := j.pod(pod).processes
	if i := slices.IndexFunc(processes, func(p *Process) bool { return p.N == n }); i >= 0 {
		return processes[i]
	}
	return nil
}

// ownEpochs finds the processes of epochs without a run: the one that lived
// when the epoch began.
func (j *judge) ownEpochs(p *place) {
	for i := range p.Epochs {
		e := p.epochs[p.Epochs[i].ID]
		if e.process == nil {
			e.process = j.pod(e.Pod).alive(e.started, p.Uncertainty)
		}
		if e.process == nil {
			j.blame("%s began at %s, when its pod had no process", e, clock(e.started))
			e.process = &Process{Pod: e.Pod}
		}
	}
}

// alive is the process that lived at the time, give or take slack.
func (p *pod) alive(at time.Time, slack time.Duration) *Process {
	i := slices.IndexFunc(p.processes, func(p *Process) bool {
		return !p.Started.After(at.Add(slack)) && !p.end().Before(at.Add(-slack))
	})
	if i < 0 {
		return nil
	}
	return p.processes[i]
}

// end is when the process ended; endless while it lives.
func (p *Process) end() time.Time {
	if p.Ended.IsZero() {
		return endless
	}
	return p.Ended
}
