package dashboard

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/internal/web"
	"github.com/understudy-worker/understudy/store"
)

// steered is what a program is told of a job that it changed.
type steered struct {
	ID     int64            `json:"id"`
	IDText string           `json:"id_text"` // JavaScript keeps no number beyond 2^53
	State  understudy.State `json:"state"`
}

func (s *site) retry(w http.ResponseWriter, r *http.Request) { s.steer(w, r, Jobs.Retry) }

func (s *site) retryCompleted(w http.ResponseWriter, r *http.Request) {
	s.steer(w, r, Jobs.RetryCompleted)
}

// cancel leaves a finished job as it is, which is not what was asked for
// unless it is cancelled.
func (s *site) cancel(w http.ResponseWriter, r *http.Request) {
	s.steer(w, r, func(jobs Jobs, ctx context.Context, id int64) (understudy.State, error) {
		state, err := jobs.Cancel(ctx, id)
		if err == nil && state.Final() && state != understudy.StateCancelled {
			err = &store.Refusal{Message: fmt.Sprintf("cancel: job %d is %s already", id, state)}
		}
		return state, err
	})
}

// steer changes a job, and shows what became of it.
func (s *site) steer(w http.ResponseWriter, r *http.Request, change func(jobs Jobs, ctx context.Context, id int64) (understudy.State, error)) {
	jobs := s.Jobs()
	if jobs == nil {
		s.nothingToShow(w, r)
		return
	}
	id, ok := s.jobID(w, r)
	if !ok || !s.meant(w, r, jobs) {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), jobsTimeout)
	defer cancel()
	state, err := change(jobs, ctx, id)
	switch {
	case err != nil:
		s.jobsFailed(w, r, jobs, err)
	case web.WantsPage(r):
		http.Redirect(w, r, fmt.Sprintf("/jobs/%d", id), http.StatusSeeOther)
	default:
		web.JSON(w, r, s.Log, http.StatusOK, steered{id, strconv.FormatInt(id, 10), state})
	}
}

// meant says whether the jobs are those that the page showed which the request
// comes from: the worker may serve another target by now, with another job of
// that number. A program need not say.
func (s *site) meant(w http.ResponseWriter, r *http.Request, jobs Jobs) bool {
	if !web.ReadForm(w, r) {
		return false
	}
	now := placeOf(jobs)
	if !r.PostForm.Has("place") || r.PostForm.Get("place") == now {
		return true
	}
	s.troubled(w, r, http.StatusConflict, trouble{
		Title: "That was not done",
		Why:   fmt.Sprintf("nothing was changed: the page was of %s, and this worker serves %s by now", web.Short(r.PostForm.Get("place")), now),
		Links: []web.Link{{Text: "Its jobs", Path: "/jobs"}},
	})
	return false
}

// placeOf says where jobs are.
func placeOf(jobs Jobs) string {
	return fmt.Sprintf("target %q, schema %q", jobs.Place().Target, jobs.Place().Schema)
}
