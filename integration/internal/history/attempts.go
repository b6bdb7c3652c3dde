package history

import (
	"time"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/store"
)

const (
	// workerLost is the error of an attempt whose worker was lost.
	workerLost = "worker lost"
	// keptAttempts is how many attempts a job keeps: the last.
	keptAttempts = 100
	// rounding is how exactly the database keeps a time.
	rounding = time.Microsecond
)

// attempts checks that a job's attempts, its state and its counts agree, and
// that handlers saw the attempts.
func (j *judge) attempts(p *place) {
	for i := range p.Jobs {
		job := &p.Jobs[i]
		j.counted(p, job)
		j.completedOnce(p, job)
		j.givenUp(p, job)
		for n := range job.Attempts {
			j.attempt(p, job, n)
		}
	}
}

// counted checks the numbers of the attempts. A lost one is not charged, but
// where the job was given up with it.
func (j *judge) counted(p *place, job *store.JobRow) {
	charged, lost := 0, 0
	all := len(job.Attempts) < keptAttempts
	if !all {
		charged = job.Attempts[0].Number - 1
	}
	for n, a := range job.Attempts {
		if a.Number != charged+1 {
			j.blame("an attempt of job %d of %s has number %d, after %d that were charged", job.ID, p.Name, a.Number, charged)
			return
		}
		if a.Error == workerLost {
			lost++
		}
		if a.Error != workerLost || endedBy(job, n) {
			charged++
		}
	}
	if job.WorkerID != "" && !job.State.Final() {
		charged++ // the one that runs
	}
	if job.Attempt != charged {
		j.blame("job %d of %s is at attempt %d, and %d are charged in its list", job.ID, p.Name, job.Attempt, charged)
	}
	if job.Losses < lost || all && job.Losses != lost {
		j.blame("job %d of %s has %d losses, and %d in its list", job.ID, p.Name, job.Losses, lost)
	}
}

// endedBy says whether the job was finished by the n-th attempt of its list. A
// job that was cancelled while it waited was by none.
func endedBy(job *store.JobRow, n int) bool {
	return job.State.Final() && job.WorkerID != "" && n == len(job.Attempts)-1
}

// completedOnce checks that a completed job has one attempt without an error,
// its last, and that any other has none.
func (j *judge) completedOnce(p *place, job *store.JobRow) {
	completions := 0
	for _, a := range job.Attempts {
		if a.Error == "" {
			completions++
		}
	}
	completed := job.State == understudy.StateCompleted
	switch last := len(job.Attempts) - 1; {
	case !completed && completions > 0:
		j.blame("job %d of %s has an attempt without an error, and is %s", job.ID, p.Name, job.State)
	case completed && completions > 1:
		j.blame("job %d of %s was completed %d times", job.ID, p.Name, completions)
	case completed && (last < 0 || job.Attempts[last].Error != ""):
		j.blame("job %d of %s is completed, and its last attempt is not", job.ID, p.Name)
	}
}

// givenUp checks that a discarded job had no attempt left, was lost too often,
// or was given up by its handler.
func (j *judge) givenUp(p *place, job *store.JobRow) {
	if job.State != understudy.StateDiscarded || job.Attempt >= job.MaxAttempts {
		return
	}
	maxLosses := j.MaxLosses
	if maxLosses == 0 {
		maxLosses = defaultMaxLosses
	}
	if last := len(job.Attempts) - 1; last >= 0 {
		a := &job.Attempts[last]
		if a.Error == workerLost && job.Losses >= maxLosses {
			return
		}
		if r := p.runOf(job, a); r != nil && r.Outcome == OutcomeDiscarded {
			return
		}
	}
	j.blame("job %d of %s was discarded at attempt %d of %d with %d losses, and not by its handler",
		job.ID, p.Name, job.Attempt, job.MaxAttempts, job.Losses)
}

// attempt checks that the n-th attempt of the list was of a worker of the
// place, and that a handler ran for it.
func (j *judge) attempt(p *place, job *store.JobRow, n int) {
	a := &job.Attempts[n]
	switch e := p.epochs[a.Worker]; {
	case e == nil:
		j.blame("attempt %d of job %d of %s was by %s, which is no worker there", a.Number, job.ID, p.Name, a.Worker)
	case a.Role != e.Role:
		j.blame("attempt %d of job %d of %s was by %s as %q", a.Number, job.ID, p.Name, e, a.Role)
	case a.StartedAt == nil || a.FinishedAt == nil:
		j.blame("attempt %d of job %d of %s has no start or no end", a.Number, job.ID, p.Name)
	case a.Error == workerLost:
		// It may never have come to a run.
	case job.State == understudy.StateCancelled && endedBy(job, n):
		// The same.
	case !j.handled(p.runOf(job, a), a.Error == ""):
		j.blame("attempt %d of job %d of %s, by %s at %s with error %q, is not what a handler did",
			a.Number, job.ID, p.Name, e, clock(p.local(*a.StartedAt)), a.Error)
	}
}

// handled says whether what a handler did may have been recorded so. A handler
// that has an effect commits its completion before it returns: it may be
// killed in between, or not hear that it has committed and return an error.
func (j *judge) handled(r *run, completed bool) bool {
	switch {
	case r == nil:
		return false
	case !completed:
		return r.Outcome != ""
	}
	return r.Outcome == OutcomeCompleted || j.EffectKinds[r.Kind] && r.Outcome != OutcomeDiscarded && r.Outcome != OutcomeSnoozed
}

// runOf is the run that the attempt was; nil where there was none.
func (p *place) runOf(job *store.JobRow, a *store.Attempt) *run {
	for _, r := range p.runs[job.ID] {
		if r.is(a) {
			return r
		}
	}
	return nil
}

// is says whether the attempt was the run: both have the start that the worker
// told the handler and the database.
func (r *run) is(a *store.Attempt) bool {
	return a.Worker == r.Epoch && a.Number == r.Attempt && a.StartedAt != nil && a.StartedAt.Sub(r.ClaimedAt).Abs() <= rounding
}
