package tester

import (
	"context"
	"embed"
	"net/http"
	"slices"
	"time"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/internal/web"
	"github.com/understudy-worker/understudy/store"
)

//go:embed templates
var files embed.FS

var pages = web.NewPages(files, nil)

// shownWorkers is how many live workers of a side are listed.
const shownWorkers = 12

const pageTitle = "Tester · Understudy"

// page is what the template sees.
type page struct {
	Sides    [2]sideView
	Kinds    []string
	MaxCount int
	ReadOnly bool
	Receipt  *receipt
	Stage    *stageView
}

// sideView is one side as the page shows it.
type sideView struct {
	*Side
	Place   Place
	Trouble *Trouble
	Due     count
	Counts  []count
	Counted counted
	Workers []store.WorkerRow
	More    int // live workers that are not listed
	Jobs    []jobView
}

// count is how many jobs are in one state.
type count struct {
	State understudy.State
	Jobs  int64
	Known bool
	More  bool // there may be more
}

// counted says how the jobs were counted.
type counted struct {
	At     time.Time // zero where they are not
	Took   time.Duration
	Late   bool // the last time took longer than Took
	Slowly bool // so that they are not counted with every look
}

// jobView is one of the last jobs.
type jobView struct {
	store.RecentJob
	// Took is how long its last attempt took; Running says that it is under way.
	Took    time.Duration
	Running bool
}

// stageView is the rollout as the page shows it.
type stageView struct {
	State
	ReadOnly bool
}

func (t *Tester) index(w http.ResponseWriter, r *http.Request) {
	p := page{
		Kinds: t.Kinds, MaxCount: maxCount, ReadOnly: t.ReadOnly, Receipt: t.readReceipt(r.URL.Query()), Stage: t.stageView(),
		Sides: t.views(t.looks(r.Context(), t.Timeouts.Page)),
	}
	pages.Serve(w, r, t.Log, http.StatusOK, "tester", web.Page{Title: pageTitle, Events: "/events", Data: p})
}

// frame makes the parts of the page that change.
func (t *Tester) frame(ctx context.Context) (web.Frame, error) {
	frame := web.Frame{Title: pageTitle, Tone: web.Grey}
	add := func(id, template string, data any) error {
		html, err := pages.Part(template, data)
		frame.Parts = append(frame.Parts, web.Part{ID: id, HTML: html})
		return err
	}
	if stage := t.stageView(); stage != nil {
		if err := add("stage", "stage", stage); err != nil {
			return frame, err
		}
		if err := add("told", "told", stage); err != nil {
			return frame, err
		}
	}
	for _, view := range t.views(t.looks(ctx, t.Timeouts.Frame)) {
		if err := add("where-"+view.Name, "where", view); err != nil {
			return frame, err
		}
		if err := add("side-"+view.Name, "side", view); err != nil {
			return frame, err
		}
	}
	return frame, nil
}

func (t *Tester) stageView() *stageView {
	if t.Stage == nil {
		return nil
	}
	return &stageView{State: t.Stage.State(), ReadOnly: t.ReadOnly}
}

func (t *Tester) views(looks [2]look) [2]sideView {
	var views [2]sideView
	for i, l := range looks {
		views[i] = view(&t.Sides[i], l)
	}
	return views
}

// view is a side as the page shows it.
func view(side *Side, l look) sideView {
	v := sideView{Side: side, Place: l.place, Trouble: l.trouble, Workers: l.workers}
	if l.began.IsZero() {
		v.Trouble = unasked
	}
	if v.More = len(l.workers) - shownWorkers; v.More > 0 {
		v.Workers = l.workers[:shownWorkers]
	}
	v.Counted = counted{At: l.counts.at, Took: l.counts.took, Late: l.counts.late, Slowly: l.counts.took > quickly}
	for _, state := range understudy.States {
		c := count{state, l.counts.Jobs[state], !l.counts.at.IsZero(), slices.Contains(l.counts.More, state)}
		if v.Counts = append(v.Counts, c); state == understudy.StateAvailable {
			v.Due = c
		}
	}
	for _, job := range l.jobs {
		v.Jobs = append(v.Jobs, viewJob(job))
	}
	return v
}

func viewJob(job store.RecentJob) jobView {
	v := jobView{RecentJob: job, Running: job.FinalizedAt == nil}
	if !v.Running && job.AttemptedAt != nil {
		v.Took = job.FinalizedAt.Sub(*job.AttemptedAt)
	}
	return v
}

// Worked says whether an attempt was made at the job.
func (j jobView) Worked() bool { return j.AttemptedAt != nil }
