package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/internal/web"
)

// dummyKind is the kind of the jobs that POST /dummy enqueues.
const dummyKind = "echo"

// enqueueTimeout bounds how long a request waits for the database.
const enqueueTimeout = 5 * time.Second

// dummy enqueues an echo job to the worker's own target. A body does not count.
// A browser without script is shown the job.
func (s *site) dummy(w http.ResponseWriter, r *http.Request) {
	if s.Status().Phase != understudy.PhaseServing {
		nothingServed(w, r)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), enqueueTimeout)
	defer cancel()
	id, err := s.Enqueue(ctx, dummyKind, nil)
	switch {
	case errors.Is(err, ErrNothingServed): // it stopped serving in this moment
		nothingServed(w, r)
	case err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
		s.Log.Warn("request", "method", r.Method, "path", r.URL.Path, "err", err)
		web.Refuse(w, r, http.StatusServiceUnavailable, fmt.Sprintf("the database did not answer within %s: the job may be enqueued or not", enqueueTimeout))
	case err != nil && !answered(err):
		s.Log.Warn("request", "method", r.Method, "path", r.URL.Path, "err", err)
		web.Refuse(w, r, http.StatusServiceUnavailable, "the database could not be asked: the log says why. The job may be enqueued or not")
	case err != nil:
		web.Fail(w, r, s.Log, err)
	case web.WantsPage(r):
		http.Redirect(w, r, fmt.Sprintf("/jobs/%d", id), http.StatusSeeOther)
	default:
		web.JSON(w, r, s.Log, http.StatusCreated, struct {
			ID     int64  `json:"id"`
			IDText string `json:"id_text"`
		}{id, strconv.FormatInt(id, 10)})
	}
}

func nothingServed(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Retry-After", "1")
	web.Refuse(w, r, http.StatusServiceUnavailable, "nothing was enqueued: this worker serves no target now, /health/ready says why")
}
