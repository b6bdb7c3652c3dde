package history

import (
	"testing"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/store"
)

// jobRow is short for what many changes are to.
type jobRow = store.JobRow

// changed changes the row of a production job.
func changed(id int64, change func(job *jobRow)) func(story) {
	return func(s story) { change(s.row(production, id)) }
}

func TestAttemptsAndCountsMustAgree(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		id     int64
		change func(job *jobRow)
		want   string
	}{
		{2, func(job *jobRow) { job.Attempt = 3 }, "job 2 of production@A is at attempt 3, and 2 are charged in its list"},
		{2, func(job *jobRow) { job.Attempts[1].Number = 3 }, "an attempt of job 2 of production@A has number 3, after 1 that were charged"},
		{11, func(job *jobRow) { job.Attempt = 100 }, "job 11 of production@A is at attempt 100, and 121 are charged"},
		{21, func(job *jobRow) { job.Attempt = 2 }, "job 21 of production@A is at attempt 2, and 1 are charged"},
		{21, func(job *jobRow) { job.Losses = 2 }, "job 21 of production@A has 2 losses, and 1 in its list"},
		{24, func(job *jobRow) { job.Attempt = 0 }, "job 24 of production@A is at attempt 0, and 1 are charged"},
		{29, func(job *jobRow) { job.Attempt = 1 }, "job 29 of production@A is at attempt 1, and 0 are charged"},
	} {
		spoiled(t, changed(c.id, c.change), c.want)
	}
}

func TestACompletedJobHasOneAttemptThatDid(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		id     int64
		change func(job *jobRow)
		want   string
	}{
		{1, func(job *jobRow) { job.State = understudy.StateCancelled }, "job 1 of production@A has an attempt without an error, and is cancelled"},
		{2, func(job *jobRow) { job.Attempts[0].Error = "" }, "job 2 of production@A was completed 2 times"},
		{2, func(job *jobRow) { job.Attempts[1].Error = "no" }, "job 2 of production@A is completed, and its last attempt is not"},
		{7, func(job *jobRow) { job.State = understudy.StateCompleted }, "job 7 of production@A is completed, and its last attempt is not"},
	} {
		spoiled(t, changed(c.id, c.change), c.want)
	}
}

func TestADiscardedJobHadAReason(t *testing.T) {
	t.Parallel()
	spoiled(t, changed(6, func(job *jobRow) { job.MaxAttempts = 2 }),
		"job 6 of production@A was discarded at attempt 1 of 2 with 0 losses, and not by its handler")
	spoiled(t, func(s story) { s.MaxLosses = 0 }, "job 24 of production@A was discarded at attempt 1 of 25 with 2 losses, and not by its handler")
	spoiled(t, func(s story) { s.ran(production, 5).Outcome = OutcomeFailed }, "job 5 of production@A was discarded at attempt 1 of 25")
	spoiled(t, changed(7, func(job *jobRow) { job.State = understudy.StateDiscarded }), "job 7 of production@A was discarded at attempt 0 of 25")
}

func TestAnAttemptIsOfAWorkerOfThePlace(t *testing.T) {
	t.Parallel()
	spoiled(t, changed(1, func(job *jobRow) { job.Attempts[0].Worker = "b1" }), "attempt 1 of job 1 of production@A was by b1, which is no worker there")
	spoiled(t, changed(1, func(job *jobRow) { job.Attempts[0].Role = "preview" }), `of job 1 of production@A was by epoch a1 of pod a as "active" on production@A as "preview"`)
	spoiled(t, changed(1, func(job *jobRow) { job.Attempts[0].FinishedAt = nil }), "attempt 1 of job 1 of production@A has no start or no end")
}

func TestAnAttemptIsWhatAHandlerDid(t *testing.T) {
	t.Parallel()
	const want = "is not what a handler did"
	for id, outcome := range map[int64]string{1: OutcomeFailed, 3: OutcomeCut, 9: OutcomeSnoozed, 2: ""} {
		spoiled(t, func(s story) { s.ran(production, id).Outcome = outcome }, want)
	}
	spoiled(t, func(s story) { s.ran(production, 2).Attempt = 2 }, "attempt 1 of job 2 of production@A, by epoch a1")
	spoiled(t, func(s story) { s.ran(production, 2).Epoch = "b2" }, "attempt 1 of job 2 of production@A, by epoch a1")
	spoiled(t, func(s story) { s.EffectKinds = nil }, "attempt 1 of job 23 of production@A, by epoch b2")
	spoiled(t, func(s story) { s.EffectKinds = nil }, "attempt 1 of job 28 of production@A, by epoch b3")
}
