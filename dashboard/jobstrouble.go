package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/understudy-worker/understudy/internal/web"
	"github.com/understudy-worker/understudy/store"
)

// trouble is a page instead of the one that was asked for.
type trouble struct {
	Title, Why string
	Hints      []string
	Links      []web.Link
	Refresh    time.Duration // after which to try again, 0 for not by itself
}

// troubled answers with it; a program is told on one line.
func (s *site) troubled(w http.ResponseWriter, r *http.Request, code int, t trouble) {
	if !web.WantsPage(r) {
		web.Refuse(w, r, code, t.Why)
		return
	}
	s.page(w, r, code, "jobs-trouble", t.Title, t.Refresh, t)
}

// nothingToShow says that there is no target whose jobs could be shown, why,
// and where to look instead.
func (s *site) nothingToShow(w http.ResponseWriter, r *http.Request) {
	now := s.Status()
	_, why := readiness(now, s.ReadyRequires)
	t := trouble{Title: "No jobs here now", Refresh: jobRefresh, Why: "this worker serves no target now: " + why, Links: []web.Link{{Text: "What this worker does", Path: "/"}}}
	if now.Problem != "" {
		t.Hints = append(t.Hints, now.Problem)
	}
	t.Hints = append(t.Hints, "Look at the pages of a worker that serves the target, or run: understudy jobs list --target production")
	w.Header().Set("Retry-After", "1")
	s.troubled(w, r, http.StatusServiceUnavailable, t)
}

// noSuchJob says that a job is not there.
func (s *site) noSuchJob(w http.ResponseWriter, r *http.Request, why string) {
	s.troubled(w, r, http.StatusNotFound, trouble{
		Title: "No such job", Why: why,
		Hints: []string{"Finished jobs are kept for worker.retention, and then dropped."},
		Links: []web.Link{{Text: "All jobs", Path: "/jobs"}},
	})
}

// jobsFailed answers for jobs that could not be asked for.
func (s *site) jobsFailed(w http.ResponseWriter, r *http.Request, jobs Jobs, err error) {
	var refusal *store.Refusal
	again := []web.Link{{Text: "Try again", Path: r.URL.RequestURI()}}
	if r.Method != http.MethodGet {
		again = []web.Link{{Text: "See what became of it", Path: "/jobs/" + r.PathValue("id")}}
	}
	switch {
	case errors.As(err, &refusal) && refusal.NotFound():
		s.noSuchJob(w, r, refusal.Message)
	case errors.As(err, &refusal):
		s.troubled(w, r, http.StatusConflict, trouble{
			Title: "That was not done", Why: refusal.Message, Links: []web.Link{{Text: "Back to the job", Path: "/jobs/" + r.PathValue("id")}},
		})
	case s.Jobs() != jobs: // the epoch ended in this moment, and its pool with it
		s.nothingToShow(w, r)
	case answered(err):
		web.Fail(w, r, s.Log, err)
	default:
		s.Log.Warn("request", "method", r.Method, "path", r.URL.Path, "err", err)
		why := "the database could not be asked: the log says why"
		if errors.Is(err, context.DeadlineExceeded) {
			why = fmt.Sprintf("the database did not answer within %s", jobsTimeout)
		}
		if r.Method != http.MethodGet {
			why += ": it may have been done or not"
		}
		s.troubled(w, r, http.StatusServiceUnavailable, trouble{Title: "No answer", Why: why, Links: again})
	}
}

// answered says whether an error is what a database said to a statement.
func answered(err error) bool {
	var answer *pgconn.PgError
	var connecting *pgconn.ConnectError
	return errors.As(err, &answer) && !errors.As(err, &connecting)
}
