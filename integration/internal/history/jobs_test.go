package history

import (
	"testing"

	"github.com/understudy-worker/understudy"
)

const (
	production = "production@A"
	preview    = "preview@B"
)

func TestAnAcknowledgedJobMustBeThereOnceAndFinished(t *testing.T) {
	t.Parallel()
	spoiled(t, func(s story) {
		p := s.place(production)
		p.Enqueued = append(p.Enqueued, 99)
	}, "job 99 of production@A is gone")
	spoiled(t, func(s story) {
		p := s.place(production)
		p.Jobs = append(p.Jobs, *s.row(production, 1))
	}, "job 1 of production@A is there more than once")
	spoiled(t, func(s story) {
		s.row(production, 7).State = understudy.StateRetryable
	}, "job 7 of production@A is retryable at the end")
	spoiled(t, func(s story) {
		s.place(preview).Unattended = false
	}, "job 2 of preview@B is available at the end")
}

func TestAnEffectMustBeHadOnceWithItsCompletion(t *testing.T) {
	t.Parallel()
	effect := func(id int64, pod string) func(story) {
		return func(s story) {
			p := s.place(production)
			p.Effects = append(p.Effects, Effect{JobID: id, Pod: pod})
		}
	}
	spoiled(t, effect(9, "b"), "job 9 of production@A had its effect 2 times")
	spoiled(t, effect(8, "b"), "job 8 of production@A had its effect in pod b, and is cancelled")
	spoiled(t, effect(1, "b"), "job 1 of production@A had its effect in pod b, and was completed by pod a")
	spoiled(t, effect(99, "b"), "job 99 of production@A had an effect, and is not there")
	spoiled(t, func(s story) {
		s.place(production).Effects = nil
	}, "job 23 of production@A is completed without its effect")
}
