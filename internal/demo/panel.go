package demo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/understudy-worker/understudy/internal/rollout"
	"github.com/understudy-worker/understudy/internal/tester"
	"github.com/understudy-worker/understudy/internal/web"
)

// shownVersions is how many versions the panel shows, the last ones.
const shownVersions = 6

// panel is the rollout as the tester's page shows it, with a button for each
// step. It is safe for concurrent use.
type panel struct {
	scripted  bool
	printer   *printer
	recorder  *recorder
	revisions *revisions
	pages     []web.Link // set before anybody looks
	steps     chan step  // that buttons asked for: one at a time

	mu      sync.Mutex
	doing   string // what is under way, "" for nothing
	since   time.Time
	history rollout.History   // as far as the rollout has come
	done    [2]map[string]int // jobs by version: in production, in preview
}

func newPanel(scripted bool, p *printer, r *recorder, all *revisions) *panel {
	return &panel{
		scripted: scripted, printer: p, recorder: r, revisions: all, steps: make(chan step, 1),
		doing: "the demo starts", since: time.Now(),
	}
}

// begin notes what is under way.
func (p *panel) begin(doing string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.doing != doing { // a button has noted it already
		p.doing, p.since = doing, time.Now()
	}
}

// idle notes that nothing is under way.
func (p *panel) idle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doing = ""
}

// played notes how far the rollout has come.
func (p *panel) played(h rollout.History) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.history = h
}

// counted notes how many jobs are done, by version.
func (p *panel) counted(production, preview map[string]int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done = [2]map[string]int{maps.Clone(production), maps.Clone(preview)}
}

// preview is the revision in preview, nil without one.
func (p *panel) preview() *rollout.Revision {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.history.Preview()
}

// why says why a step cannot be done now, "" where it can. mu is held.
func (p *panel) why(verb string) string {
	switch {
	case p.scripted:
		return "a script is played, which takes no other steps"
	case p.doing != "":
		return p.doing + ": wait for its end"
	}
	thought := p.history
	var err error
	switch verb {
	case verbPromote:
		_, _, err = thought.Promote()
	case verbAbort:
		_, err = thought.Abort()
	case verbUndo:
		_, _, err = thought.Undo()
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// Do hands a step to whoever takes those of keys.
func (p *panel) Do(verb string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if why := p.why(verb); why != "" {
		return errors.New(why)
	}
	next := step{verb: verb}
	select {
	case p.steps <- next:
		p.doing, p.since = next.doing(), time.Now()
		return nil
	default:
		return errors.New("another step is to be done first: wait for its end")
	}
}

// State is the rollout as it is now.
func (p *panel) State() tester.State {
	state := tester.State{Told: p.printer.last(), Pages: p.pages}
	revisions := p.revisions.list()
	p.mu.Lock()
	defer p.mu.Unlock()
	state.Doing, state.Since = p.doing, p.since
	if p.doing == "" {
		state.Since = time.Time{}
	}
	for _, t := range titles {
		state.Steps = append(state.Steps, tester.Step{Verb: t.verb, Title: t.title, Why: p.why(t.verb)})
	}
	for _, r := range revisions[max(0, len(revisions)-shownVersions):] {
		state.Versions = append(state.Versions, p.version(r))
	}
	return state
}

// version is a revision as the page shows it. mu is held.
func (p *panel) version(r *rollout.Revision) tester.Version {
	v := tester.Version{Name: r.Version, Tone: web.Grey, Pod: "ended", Production: p.done[0][r.Version], Preview: p.done[1][r.Version]}
	role, runs := p.recorder.now(r)
	if !runs {
		return v
	}
	v.Role, v.Pod = role, "runs"
	switch role {
	case rollout.RoleActive:
		v.Tone = web.Blue
	case rollout.RolePreview:
		v.Tone = web.Green
	}
	return v
}

// openTester serves the tester's page from now on.
func (s *story) openTester(hands *crew) error {
	log, err := s.openLog("tester.log")
	if err != nil {
		return err
	}
	s.panel.pages = []web.Link{
		{Text: "The active version's page", Path: s.services[rollout.RoleActive].url()},
		{Text: "The preview's page", Path: s.services[rollout.RolePreview].url()},
	}
	page, err := tester.New(tester.Options{
		Sides: [2]tester.Side{s.productionSide(), s.previewSide()},
		Kinds: []string{"echo", "sleep", "fail"}, Queue: visitorQueue, Stage: s.panel, Version: s.options.Version, Log: log,
	})
	if err != nil {
		return err
	}
	hands.run(func(ctx context.Context) error { return page.Serve(ctx, s.page) })
	s.say("open http://%s: production and preview side by side, with buttons; the active version's page is %s, the preview's %s",
		s.page.Addr(), s.panel.pages[0].Path, s.panel.pages[1].Path)
	return nil
}

func (s *story) productionSide() tester.Side {
	return tester.Side{
		Name: "production", Title: "Production", Tone: web.Blue,
		Find: func(context.Context) (tester.Place, error) { return tester.At(s.pool, s.board.production) },
		Advice: tester.Advice{
			Unreachable: "The demo's Postgres has gone: end the demo, and start it again.",
			Unmigrated:  "The demo migrates it when it starts: start it again.",
			Unserved:    "The active version starts, or starts again: wait a moment.",
		},
	}
}

// previewSide follows the version in preview: each has a schema of its own.
func (s *story) previewSide() tester.Side {
	return tester.Side{
		Name: "preview", Title: "Preview", Tone: web.Green,
		Find: func(context.Context) (tester.Place, error) {
			if r := s.panel.preview(); r != nil {
				return tester.At(s.pool, s.board.preview(r))
			}
			place, err := tester.At(s.pool, "")
			return place, errors.Join(err, &tester.Trouble{Usual: true, What: "No version is in preview.", Do: fmt.Sprintf("Make one: %q, above.", "New version")})
		},
		Advice: tester.Advice{
			Unreachable: "The demo's Postgres has gone: end the demo, and start it again.",
			Unmigrated:  "The version in preview makes it when it starts: wait a moment.",
			Unserved:    "The version in preview starts: wait a moment.",
		},
	}
}
