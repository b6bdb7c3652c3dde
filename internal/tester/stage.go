package tester

import (
	"net/http"
	"slices"
	"time"

	"github.com/understudy-worker/understudy/internal/web"
)

// Stage is a rollout that the page shows and drives. It is safe for concurrent
// use, and all of it returns at once.
type Stage interface {
	// State is what the rollout is like now; what it returns is the caller's.
	State() State
	// Do begins the step of that verb, or says why it cannot be done.
	Do(verb string) error
}

// State is what a rollout is like at one moment.
type State struct {
	// Doing is what is going on, "" for nothing; Since is when it began.
	Doing string    `json:"doing"`
	Since time.Time `json:"since,omitzero"`
	// Steps are what can be done, each with a button.
	Steps []Step `json:"steps"`
	// Versions are the versions there are, the first one first.
	Versions []Version `json:"versions"`
	// Told is what happened last, the last first.
	Told []string `json:"told"`
	// Pages are the versions' own pages.
	Pages []web.Link `json:"-"`
}

// Step is something that can be done to a rollout.
type Step struct {
	Verb  string `json:"verb"`
	Title string `json:"title"`
	// Why says why it cannot be done now, "" where it can.
	Why string `json:"why,omitempty"`
}

// Version is one version in a rollout.
type Version struct {
	Name string `json:"name"`
	Role string `json:"role"` // "" without one
	Tone string `json:"tone"` // one of web's
	// Pod is what its pod does, in a word or two.
	Pod string `json:"pod"`
	// Production and Preview count the jobs that it has completed there.
	Production int `json:"production"`
	Preview    int `json:"preview"`
}

// asked is what POST /stage answers a program.
type asked struct {
	Verb string `json:"verb"`
}

// act begins a step of the rollout.
func (t *Tester) act(w http.ResponseWriter, r *http.Request) {
	if !web.ReadForm(w, r) {
		return
	}
	verb := r.PostForm.Get("verb")
	known := slices.ContainsFunc(t.Stage.State().Steps, func(s Step) bool { return s.Verb == verb })
	if !known {
		web.Refuse(w, r, http.StatusBadRequest, "verb "+quote(verb)+" is unknown: GET /api/status lists the steps")
		return
	}
	if err := t.Stage.Do(verb); err != nil {
		web.Refuse(w, r, http.StatusConflict, err.Error())
		return
	}
	t.live.Wake()
	if web.WantsPage(r) {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	web.JSON(w, r, t.Log, http.StatusAccepted, asked{Verb: verb})
}
