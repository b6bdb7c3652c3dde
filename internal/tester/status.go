package tester

import (
	"net/http"

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
	Jobs    []store.RecentJob          `json:"jobs"`
}

// unasked is the trouble of a side that has not answered yet.
var unasked = &Trouble{What: "It has not answered yet.", Do: "Wait a moment: it is asked again."}

func (t *Tester) status(w http.ResponseWriter, r *http.Request) {
	body := report{Version: t.Version, ReadOnly: t.ReadOnly}
	for i, l := range t.looks(r.Context(), 2*askTimeout) { // also behind a question that is under way
		side := sideReport{
			Name: t.Sides[i].Name, Place: l.place, Problem: l.trouble, Workers: l.workers, Counts: l.counts, Due: l.due, Jobs: l.jobs,
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
