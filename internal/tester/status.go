package tester

import (
	"net/http"
	"time"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/internal/web"
	"github.com/understudy-worker/understudy/store"
)

// report is the body of /api/status.
type report struct {
	Version  string        `json:"version"`
	ReadOnly bool          `json:"read_only"`
	Sides    [2]sideReport `json:"sides"`
	Stage    *State        `json:"stage,omitempty"`
}

// sideReport is one side of it. Without an answer, Problem says why.
type sideReport struct {
	Name string `json:"name"`
	Place
	Problem *Trouble                   `json:"problem"`
	Workers []store.WorkerRow          `json:"workers"`
	Counts  map[understudy.State]int64 `json:"counts"`
	Due     int64                      `json:"due"`
	// More are the states of which there are that many or more.
	More []understudy.State `json:"more,omitempty"`
	// CountedAt is when they were counted; nil where they are not.
	CountedAt *time.Time        `json:"counted_at"`
	Jobs      []store.RecentJob `json:"jobs"`
}

// unasked is the trouble of a side that has not answered yet.
var unasked = &Trouble{What: "It has not answered yet.", Do: "Wait a moment: it is asked again."}

func (t *Tester) status(w http.ResponseWriter, r *http.Request) {
	body := report{Version: t.Version, ReadOnly: t.ReadOnly}
	for i, l := range t.looks(r.Context(), 2*t.Timeouts.Look) { // also behind a question that is under way
		side := sideReport{
			Name: t.Sides[i].Name, Place: l.place, Problem: l.trouble, Workers: l.workers, Jobs: l.jobs,
			Counts: l.counts.Jobs, Due: l.counts.due(), More: l.counts.More,
		}
		if at := l.counts.at.UTC(); !at.IsZero() {
			side.CountedAt = &at
		}
		if l.began.IsZero() {
			side.Problem = unasked
		}
		body.Sides[i] = side
	}
	if t.Stage != nil {
		state := t.Stage.State()
		body.Stage = &state
	}
	web.JSON(w, r, t.Log, http.StatusOK, body)
}
