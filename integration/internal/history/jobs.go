package history

import (
	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/store"
)

// accounted checks that every job which the database acknowledged is there,
// that none is there twice, and that each is finished, unless nobody works there.
func (j *judge) accounted(p *place) {
	for _, id := range p.Enqueued {
		if p.jobs[id] == nil {
			j.blame("job %d of %s is gone", id, p.Name)
		}
	}
	for i := range p.Jobs {
		job := &p.Jobs[i]
		if p.jobs[job.ID] != job {
			j.blame("job %d of %s is there more than once", job.ID, p.Name)
		}
		if !job.State.Final() && !p.Unattended {
			j.blame("job %d of %s is %s at the end (attempt %d, losses %d, last error %q)",
				job.ID, p.Name, job.State, job.Attempt, job.Losses, job.LastError)
		}
	}
}

// effects checks that a job has its effect once if it completed, and otherwise
// not at all.
func (j *judge) effects(p *place) {
	for i := range p.Jobs {
		j.effect(p, &p.Jobs[i])
	}
	for _, e := range p.Effects {
		if p.jobs[e.JobID] == nil {
			j.blame("job %d of %s had an effect, and is not there", e.JobID, p.Name)
		}
	}
}

func (j *judge) effect(p *place, job *store.JobRow) {
	effects := p.effects[job.ID]
	switch completed := job.State == understudy.StateCompleted; {
	case len(effects) > 1:
		j.blame("job %d of %s had its effect %d times", job.ID, p.Name, len(effects))
	case len(effects) == 1 && !completed:
		j.blame("job %d of %s had its effect in pod %s, and is %s", job.ID, p.Name, effects[0].Pod, job.State)
	case len(effects) == 1:
		if e := p.epochs[job.WorkerID]; e != nil && e.Pod != effects[0].Pod {
			j.blame("job %d of %s had its effect in pod %s, and was completed by pod %s", job.ID, p.Name, effects[0].Pod, e.Pod)
		}
	case completed && j.EffectKinds[job.Kind]:
		j.blame("job %d of %s is completed without its effect", job.ID, p.Name)
	}
}
