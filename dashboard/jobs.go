package dashboard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/internal/web"
	"github.com/understudy-worker/understudy/store"
)

// jobsTimeout bounds how long a request for jobs waits for the database.
const jobsTimeout = 5 * time.Second

// jobsView is what the page of jobs shows.
type jobsView struct {
	Target, Schema string
	States         []understudy.State
	State, Kind    string // as asked for, also where that is nonsense
	Queue, Text    string
	MaxText        int
	Before         int64
	Problem        string // why nothing was searched for

	Jobs  []jobLine
	Next  int64 // from which to go on, 0 for nowhere
	Early bool
}

// browse lists jobs.
func (s *site) browse(w http.ResponseWriter, r *http.Request) {
	jobs := s.Jobs()
	if jobs == nil {
		s.nothingToShow(w, r)
		return
	}
	v, search, err := readSearch(r.URL.RawQuery)
	v.Target, v.Schema = jobs.Place().Target, jobs.Place().Schema
	if err != nil {
		s.showJobs(w, r, v, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), jobsTimeout)
	defer cancel()
	found, err := jobs.Search(ctx, search)
	var refusal *store.Refusal
	if err != nil && !errors.As(err, &refusal) {
		s.jobsFailed(w, r, jobs, err)
		return
	}
	for _, job := range found.Jobs {
		v.Jobs = append(v.Jobs, jobLine{job})
	}
	v.Next, v.Early = found.Next, found.Early
	s.showJobs(w, r, v, err)
}

func (s *site) showJobs(w http.ResponseWriter, r *http.Request, v *jobsView, problem error) {
	code := http.StatusOK
	if problem != nil {
		code, v.Problem = http.StatusBadRequest, problem.Error()
	}
	s.page(w, r, code, "jobs", "Jobs in "+v.Target, 0, v)
}

// page answers with a page about jobs.
func (s *site) page(w http.ResponseWriter, r *http.Request, code int, name, title string, refresh time.Duration, data any) {
	now := s.Status()
	sitePages.Serve(w, r, s.Log, code, name, web.Page{
		Title: title + " · Understudy", Tone: tone(now.Role, now.Target), Nav: s.nav(), Here: "/jobs", Refresh: refresh, Data: data,
	})
}

// readSearch reads what is asked for. What it does not know it passes over.
func readSearch(query string) (*jobsView, store.Search, error) {
	q, err := url.ParseQuery(query)
	v := &jobsView{
		States: understudy.States, MaxText: store.MaxSearchBytes,
		State: q.Get("state"), Kind: q.Get("kind"), Queue: q.Get("queue"), Text: q.Get("text"),
	}
	search := store.Search{Kind: v.Kind, Queue: v.Queue, Text: v.Text}
	if err != nil {
		return v, search, fmt.Errorf("the address cannot be read: %w", err)
	}
	if v.State != "" {
		if search.State, err = understudy.ParseState(v.State); err != nil {
			return v, search, err
		}
	}
	if before := q.Get("before"); before != "" {
		if v.Before, err = strconv.ParseInt(before, 10, 64); err != nil || v.Before < 1 {
			return v, search, fmt.Errorf("before is %q: use the number of a job", web.Short(before))
		}
		search.Before = v.Before
	}
	return v, search, nil
}

// Filtered says whether not all jobs are asked for.
func (v *jobsView) Filtered() bool {
	return v.State != "" || v.Kind != "" || v.Queue != "" || v.Text != ""
}

// Newest leads to the first page of the search, Older to the next one.
func (v *jobsView) Newest() string { return v.link(0) }

// Older is the page after this one.
func (v *jobsView) Older() string { return v.link(v.Next) }

func (v *jobsView) link(before int64) string {
	q := url.Values{}
	for name, value := range map[string]string{"state": v.State, "kind": v.Kind, "queue": v.Queue, "text": v.Text} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if before != 0 {
		q.Set("before", strconv.FormatInt(before, 10))
	}
	return (&url.URL{Path: "/jobs", RawQuery: q.Encode()}).String()
}

// jobLine is a job in the table.
type jobLine struct{ store.Summary }

// Problem is the warning of a job that is completed with one, and else the last error.
func (j jobLine) Problem() string { return cmp.Or(j.Warning, j.LastError) }

// When is the time that tells most of a job in its state, and Event what it is
// the time of.
func (j jobLine) When() time.Time {
	switch {
	case j.FinalizedAt != nil:
		return *j.FinalizedAt
	case j.State == understudy.StateRunning && j.AttemptedAt != nil:
		return *j.AttemptedAt
	}
	return j.ScheduledAt
}

// Event is what happens, or happened, at that time.
func (j jobLine) Event() string {
	switch {
	case j.FinalizedAt != nil:
		return "finished"
	case j.State == understudy.StateRunning:
		return "started"
	}
	return "due"
}
