package history

import (
	"time"

	"github.com/understudy-worker/understudy/store"
)

// rescueTime is how long after an epoch was found lost its jobs may still be
// its own. Finding it lost and taking its jobs are two transactions: what is
// written between them still holds its claim, and nobody else has the job.
const rescueTime = time.Second

// fencing checks that no epoch that was found lost changed a job afterwards.
func (j *judge) fencing(p *place) {
	for i := range p.Jobs {
		job := &p.Jobs[i]
		j.notAfterItsLoss(p, job)
		for n := range job.Attempts {
			j.notAfterItsEpoch(p, job, &job.Attempts[n])
		}
	}
}

// notAfterItsLoss checks that an epoch which lost the job is not heard of again.
func (j *judge) notAfterItsLoss(p *place, job *store.JobRow) {
	if job.Losses == 0 {
		return
	}
	lostBy := map[string]bool{}
	for _, a := range job.Attempts {
		if lostBy[a.Worker] {
			j.blame("job %d of %s was lost by epoch %s, which then changed it (attempt %d, error %q)", job.ID, p.Name, a.Worker, a.Number, a.Error)
		}
		lostBy[a.Worker] = lostBy[a.Worker] || a.Error == workerLost
	}
}

// notAfterItsEpoch checks that an attempt was recorded before its epoch was
// found lost.
func (j *judge) notAfterItsEpoch(p *place, job *store.JobRow, a *store.Attempt) {
	e := p.epochs[a.Worker]
	if e == nil || e.State != "lost" || e.EndedAt == nil || a.Error == workerLost || a.FinishedAt == nil {
		return
	}
	if late := a.FinishedAt.Sub(*e.EndedAt); late > rescueTime {
		j.blame("attempt %d of job %d of %s was recorded %s after %s was found lost", a.Number, job.ID, p.Name, late.Round(time.Millisecond), e)
	}
}
