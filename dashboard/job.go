package dashboard

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/internal/web"
	"github.com/understudy-worker/understudy/store"
)

// jobRefresh is how often the page of an unfinished job is read anew.
const jobRefresh = 2 * time.Second

// jobView is what the page of one job shows.
type jobView struct {
	store.JobRow
	Target, Place string
	ReadOnly      bool
}

// show shows one job.
func (s *site) show(w http.ResponseWriter, r *http.Request) {
	jobs, row, ok := s.find(w, r)
	if !ok {
		return
	}
	refresh := jobRefresh
	if row.State.Final() {
		refresh = 0
	}
	s.page(w, r, http.StatusOK, "jobs-one", fmt.Sprintf("Job %d, %s", row.ID, row.State), refresh,
		&jobView{JobRow: row, Target: jobs.Place().Target, Place: placeOf(jobs), ReadOnly: s.ReadOnly})
}

// showJSON is all of a job for programs.
func (s *site) showJSON(w http.ResponseWriter, r *http.Request) {
	if _, row, ok := s.find(w, r); ok {
		web.JSON(w, r, s.Log, http.StatusOK, struct {
			store.JobRow
			IDText string `json:"id_text"`
		}{row, strconv.FormatInt(row.ID, 10)})
	}
}

// find finds the job that the path names, and else answers.
func (s *site) find(w http.ResponseWriter, r *http.Request) (jobs Jobs, row store.JobRow, ok bool) {
	if jobs = s.Jobs(); jobs == nil {
		s.nothingToShow(w, r)
		return jobs, row, false
	}
	id, ok := s.jobID(w, r)
	if !ok {
		return jobs, row, false
	}
	ctx, cancel := context.WithTimeout(r.Context(), jobsTimeout)
	defer cancel()
	row, err := jobs.Job(ctx, id)
	if err != nil {
		s.jobsFailed(w, r, jobs, err)
	}
	return jobs, row, err == nil
}

// jobID is the id in the path; without one it answers.
func (s *site) jobID(w http.ResponseWriter, r *http.Request) (int64, bool) {
	text := r.PathValue("id")
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id < 1 {
		s.noSuchJob(w, r, fmt.Sprintf("there is no job %q: jobs have numbers, from 1", web.Short(text)))
		return 0, false
	}
	return id, true
}

// CanCancel says whether cancelling the job would change it.
func (v *jobView) CanCancel() bool { return !v.State.Final() && !v.CancelRequested }

// CanRetry says whether the job could be due sooner than it is.
func (v *jobView) CanRetry() bool {
	return v.State != understudy.StateRunning && v.State != understudy.StateAvailable
}

// History is every attempt, and the one that runs.
func (v *jobView) History() []attemptLine {
	lines := make([]attemptLine, 0, len(v.Attempts)+1)
	for _, a := range v.Attempts {
		lines = append(lines, attemptLine{Attempt: a, Tone: tone(a.Role, v.Target)})
	}
	if v.State == understudy.StateRunning {
		lines = append(lines, attemptLine{Running: true, Tone: tone(v.WorkerRole, v.Target), Attempt: store.Attempt{
			Number: v.JobRow.Attempt, Worker: v.WorkerID, Version: v.WorkerVersion, Role: v.WorkerRole, StartedAt: v.AttemptedAt,
		}})
	}
	return lines
}

// HasMetadata says whether the enqueuer kept anything with the job.
func (v *jobView) HasMetadata() bool { return len(v.Metadata) > 0 && string(v.Metadata) != "{}" }

// attemptLine is an attempt in the table.
type attemptLine struct {
	store.Attempt
	Running bool
	Tone    string
}

// ShortWorker is the beginning of the epoch's id, enough to tell a few apart.
func (a attemptLine) ShortWorker() string { return a.Worker[:min(len(a.Worker), 8)] }

// Took is how long the attempt took, nothing if that is not known.
func (a attemptLine) Took() *time.Duration {
	if a.StartedAt == nil || a.FinishedAt == nil {
		return nil
	}
	took := a.FinishedAt.Sub(*a.StartedAt)
	return &took
}

// ShowArgs, ShowResult and ShowMetadata are the job's JSON for people.
func (v *jobView) ShowArgs() shownJSON { return readable(v.ID, v.Args) }

// ShowResult is the result.
func (v *jobView) ShowResult() shownJSON { return readable(v.ID, v.Result) }

// ShowMetadata is the metadata.
func (v *jobView) ShowMetadata() shownJSON { return readable(v.ID, v.Metadata) }

const (
	// maxShown is how much of a JSON value a page shows.
	maxShown = 64 << 10
	// maxIndented bounds what indenting may make of a value: deep ones grow a lot.
	maxIndented = 8 << 20
)

// shownJSON is a JSON value as a page shows it.
type shownJSON struct {
	ID    int64 // of the job
	Text  string
	Bytes int  // of the value
	Cut   bool // whether that is more than Text
}

func readable(id int64, raw json.RawMessage) shownJSON {
	shown := shownJSON{ID: id, Text: string(raw), Bytes: len(raw)}
	var indented bytes.Buffer
	if len(raw)*2*nesting(raw) <= maxIndented && json.Indent(&indented, raw, "", "  ") == nil {
		shown.Text = indented.String()
	}
	if len(shown.Text) > maxShown {
		shown.Text, shown.Cut = strings.ToValidUTF8(shown.Text[:maxShown], ""), true
	}
	return shown
}

// nesting is how deep a JSON value nests at the most, or more: brackets in
// strings count too.
func nesting(raw json.RawMessage) int {
	depth, deepest := 0, 1
	for _, c := range raw {
		switch c {
		case '[', '{':
			depth++
			deepest = max(deepest, depth)
		case ']', '}':
			depth--
		}
	}
	return deepest
}
