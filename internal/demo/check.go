package demo

import (
	"fmt"
	"slices"
	"time"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/store"
)

// readTime is the longest that a worker may take to learn of a label: it reads
// the files every two seconds even if nothing tells it to.
const readTime = 3 * time.Second

// lost is the error of an attempt whose worker was lost.
const lost = "worker lost"

// maxBroken is how many broken promises are worth telling.
const maxBroken = 10

// judge checks a record.
type judge struct {
	*record
	broken []string
}

// check lists the promises that a record shows broken, none if all held:
//   - every job that was enqueued in production is completed, and so is every
//     one in a preview that was served to the end;
//   - completed once: one attempt is charged, and only workers that were
//     killed on purpose were lost with a job;
//   - every attempt and every epoch was of a version whose pod had, just then,
//     the role that works there: see readTime;
//   - no process was in two epochs at a time, and each ended its own.
func (r *record) check() []string {
	j := &judge{record: r}
	for _, l := range r.ledgers {
		j.jobs(l)
		j.epochs(l)
	}
	j.overlaps()
	if more := len(j.broken) - maxBroken; more > 0 {
		j.broken = append(j.broken[:maxBroken], fmt.Sprintf("and %d more", more))
	}
	return j.broken
}

func (j *judge) blame(format string, args ...any) {
	j.broken = append(j.broken, fmt.Sprintf(format, args...))
}

// jobs checks that a schema has every job that was enqueued, each once.
func (j *judge) jobs(l ledger) {
	byID := map[int64]store.JobRow{}
	for _, job := range l.jobs {
		byID[job.ID] = job
	}
	for _, id := range l.enqueued {
		job, found := byID[id]
		if !found {
			j.blame("job %d of schema %s is gone", id, l.schema)
			continue
		}
		j.job(l, job)
	}
	for _, job := range l.jobs {
		j.attempts(l, job)
	}
}

// job checks how far a job has come.
func (j *judge) job(l ledger, job store.JobRow) {
	switch {
	case job.State == understudy.StateCompleted:
		if job.Attempt != 1 {
			j.blame("job %d of schema %s was completed at attempt %d: one was to be charged", job.ID, l.schema, job.Attempt)
		}
	case job.State == understudy.StateAvailable && !l.attended && job.Attempt == 0:
		// Nobody was left to work it.
	default:
		j.blame("job %d of schema %s is %s at the end (attempt %d, losses %d, last error %q)",
			job.ID, l.schema, job.State, job.Attempt, job.Losses, job.LastError)
	}
}

// attempts checks who worked a job, and that they were allowed to.
func (j *judge) attempts(l ledger, job store.JobRow) {
	finished := 0
	for _, a := range job.Attempts {
		switch {
		case a.Error == "":
			finished++
		case a.Error != lost && job.Queue == visitorQueue:
			// It may have been asked to fail.
		case a.Error != lost:
			j.blame("job %d of schema %s failed: %s", job.ID, l.schema, a.Error)
		case !slices.Contains(j.killed, a.Worker):
			j.blame("job %d of schema %s lost its worker %s, which nobody killed", job.ID, l.schema, a.Worker)
		}
		j.attempt(l, job, a)
	}
	if job.State == understudy.StateCompleted && finished != 1 {
		j.blame("job %d of schema %s was completed %d times", job.ID, l.schema, finished)
	}
}

// attempt checks one attempt: its epoch is one of this schema, and it began
// while its version had the role.
func (j *judge) attempt(l ledger, job store.JobRow, a store.Attempt) {
	i := slices.IndexFunc(l.epochs, func(e store.WorkerRow) bool { return e.ID == a.Worker })
	switch {
	case i < 0:
		j.blame("job %d of schema %s was claimed by %s, which is no worker of the schema", job.ID, l.schema, a.Worker)
	case a.StartedAt == nil:
		j.blame("job %d of schema %s has an attempt without a start", job.ID, l.schema)
	case a.Role != l.role || a.Version != l.epochs[i].Version:
		j.blame("job %d of schema %s was claimed by version %s as %q: only %q works there", job.ID, l.schema, a.Version, a.Role, l.role)
	case !j.inRole(l.epochs[i], l.role, *a.StartedAt):
		j.blame("job %d of schema %s was claimed by version %s at %s, when it was not %s",
			job.ID, l.schema, a.Version, clock(*a.StartedAt), l.role)
	}
}

// epochs checks that whoever served a schema had the role for it, and has
// ended by itself unless it was killed.
func (j *judge) epochs(l ledger) {
	for _, e := range l.epochs {
		switch {
		case e.Role != l.role:
			j.blame("version %s served schema %s as %q: only %q works there", e.Version, l.schema, e.Role, l.role)
		case l.hash != "" && e.TemplateHash != l.hash:
			j.blame("version %s (%s) served schema %s of revision %s", e.Version, e.TemplateHash, l.schema, l.hash)
		case !j.inRole(e, l.role, e.StartedAt):
			j.blame("version %s began to serve schema %s at %s, when it was not %s", e.Version, l.schema, clock(e.StartedAt), l.role)
		}
		if e.State != "ended" && !slices.Contains(j.killed, e.ID) {
			j.blame("version %s left its epoch %s in schema %s %s", e.Version, e.ID, l.schema, e.State)
		}
	}
}

// inRole says whether a pod of the epoch's revision had that role at the time,
// or had it so shortly before that it need not know better.
func (j *judge) inRole(e store.WorkerRow, role string, at time.Time) bool {
	return slices.ContainsFunc(j.stints, func(s stint) bool {
		return s.revision.Hash == e.TemplateHash && s.revision.Version == e.Version && s.role == role &&
			!at.Before(s.from) && (s.to.IsZero() || !at.After(s.to.Add(readTime)))
	})
}

// overlaps checks that no process was in two epochs at a time, wherever. What
// a process was killed in is over only when others find out: by then the pod's
// next process is at work.
func (j *judge) overlaps() {
	byHash := map[string][]store.WorkerRow{}
	for _, l := range j.ledgers {
		for _, e := range l.epochs {
			byHash[e.TemplateHash] = append(byHash[e.TemplateHash], e)
		}
	}
	for _, epochs := range byHash {
		slices.SortFunc(epochs, func(a, b store.WorkerRow) int { return a.StartedAt.Compare(b.StartedAt) })
		for i, e := range epochs[1:] {
			before := epochs[i]
			if before.EndedAt != nil && before.EndedAt.After(e.StartedAt) && !slices.Contains(j.killed, before.ID) {
				j.blame("version %s began to be %s at %s and was %s until %s",
					e.Version, e.Role, clock(e.StartedAt), before.Role, clock(*before.EndedAt))
			}
		}
	}
}

// clock is a time of day as messages show it.
func clock(t time.Time) string { return t.Format("15:04:05.000") }
