package dashboard

import (
	"net/http"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/internal/web"
)

// report is the body of /api/status: the fields of understudy.Status, and more.
type report struct {
	understudy.Status
	// Serving stands in for the field of Status: null without an epoch.
	Serving  *place `json:"serving"`
	Ready    bool   `json:"ready"`
	Reason   string `json:"reason"` // why it is ready, or is not
	Version  string `json:"version"`
	Commit   string `json:"commit"`
	Count    int64  `json:"count"` // jobs that this process has completed
	ReadOnly bool   `json:"read_only"`
	// Worker is missing without an epoch.
	Worker  *understudy.WorkerStatus `json:"worker,omitempty"`
	Podinfo Podinfo                  `json:"podinfo"`
}

// place is an understudy.Place under the names that JSON has for it.
type place struct {
	Role    string `json:"role"`
	Target  string `json:"target"`
	Schema  string `json:"schema"`
	Version string `json:"version"`
}

func (s *site) status(w http.ResponseWriter, r *http.Request) {
	now := s.Status()
	body := report{
		Status: now, Version: s.Version, Commit: s.Commit, Count: s.Count(), ReadOnly: s.ReadOnly,
		Worker: s.Worker(), Podinfo: s.Podinfo(),
	}
	if now.Serving != (understudy.Place{}) {
		serving := place(now.Serving)
		body.Serving = &serving
	}
	body.Ready, body.Reason = readiness(now, s.ReadyRequires)
	web.JSON(w, r, s.Log, http.StatusOK, body)
}
