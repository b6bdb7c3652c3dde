package tester_test

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/understudy-worker/understudy/internal/tester"
	"github.com/understudy-worker/understudy/internal/web"
)

// play is a rollout that does nothing but note what it was asked to do.
type play struct {
	mu    sync.Mutex
	doing string
	done  []string
}

func (p *play) State() tester.State {
	p.mu.Lock()
	defer p.mu.Unlock()
	state := tester.State{
		Doing: p.doing, Since: time.Now(),
		Steps:    []tester.Step{{Verb: "promote", Title: "Promote"}, {Verb: "undo", Title: "Undo", Why: "nothing was <promoted>"}},
		Versions: []tester.Version{{Name: "1.0", Role: "active", Tone: web.Blue, Pod: "runs"}, {Name: "2.0", Tone: web.Grey, Pod: "ended"}},
		Told:     []string{"2.0: <here>", "1.0: there"},
		Pages:    []web.Link{{Text: "Active", Path: "http://127.0.0.1:8000"}},
	}
	return state
}

func (p *play) Do(verb string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.doing != "" {
		return errors.New(p.doing + " is under way: wait for its end")
	}
	p.doing, p.done = verb, append(p.done, verb)
	return nil
}

func TestThePageShowsARolloutAndDrivesIt(t *testing.T) {
	t.Parallel()
	stage := &play{}
	b := newBench(t, func(b *bench) { b.options.Stage = stage })
	page := b.page()
	b.contains("the page", page, "Rollout", "idle", "2.0: &lt;here&gt;", `href="http://127.0.0.1:8000"`,
		`<button>Promote</button>`, `<button aria-disabled="true" title="nothing was &lt;promoted&gt;">Undo</button>`,
		`<span class="tag blue">active</span>`, `<span class="tag grey">no role</span>`)
	promote := url.Values{"verb": {"promote"}}
	if got := b.do("POST", "/stage", promote); got.code != http.StatusAccepted || got.body != "{\"verb\":\"promote\"}\n" {
		t.Errorf("%d %s", got.code, got.body)
	}
	if got := b.do("POST", "/stage", promote, "Accept", "text/html"); got.code != http.StatusConflict || !strings.Contains(got.body, "promote is under way: wait for its end") {
		t.Errorf("while it is under way: %d %s", got.code, got.body)
	}
	if got := b.do("POST", "/stage", url.Values{"verb": {"dance"}}); got.code != http.StatusBadRequest || !strings.Contains(got.body, `verb "dance" is unknown`) {
		t.Errorf("an unknown verb: %d %s", got.code, got.body)
	}
	if got := b.do("POST", "/stage", promote, "Origin", "https://evil.example"); got.code != http.StatusForbidden {
		t.Errorf("from another site: %d", got.code)
	}
	if len(stage.done) != 1 {
		t.Errorf("done: %v, want promote once", stage.done)
	}
	b.stream("stage", "promote", nil)
	stage.mu.Lock()
	stage.doing = ""
	stage.mu.Unlock()
	if got := b.do("POST", "/stage", promote, "Accept", "text/html"); got.code != http.StatusSeeOther || got.header.Get("Location") != "/" {
		t.Errorf("a browser: %d %v", got.code, got.header)
	}
}

func TestWithoutARolloutThereIsNoneToDrive(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if got := b.do("POST", "/stage", url.Values{"verb": {"promote"}}); got.code != http.StatusNotFound {
		t.Errorf("got %d", got.code)
	}
	if page := b.page(); strings.Contains(page, "Rollout") {
		t.Error("the page has a rollout")
	}
}

func TestOptionsThatLackSomethingAreRefusedByName(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for want, spoil := range map[string]func(o *tester.Options){
		"Sides[1].Find is nil":     func(o *tester.Options) { o.Sides[1].Find = nil },
		"Sides[0].Name is empty":   func(o *tester.Options) { o.Sides[0].Name = "" },
		`both called "production"`: func(o *tester.Options) { o.Sides[1].Name = "production" },
		"Log is nil":               func(o *tester.Options) { o.Log = (*slog.Logger)(nil) },
	} {
		o := b.options
		spoil(&o)
		if _, err := tester.New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
}
