package dashboard

import (
	"context"
	"embed"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/understudy-worker/understudy/internal/web"
)

//go:embed templates
var templates embed.FS

var sitePages = web.NewPages(templates, map[string]any{"toneOf": tone})

const (
	// frameEvery is how often an open page is brought up to date, and statusEvery
	// how soon it is when the worker's status changes.
	frameEvery  = time.Second
	statusEvery = 100 * time.Millisecond
)

// nav leads to the pages of a worker.
func (s *site) nav() []web.Link {
	return []web.Link{{Text: "Worker", Path: "/"}, {Text: "Jobs", Path: "/jobs"}}
}

// index is the worker's page, and for programs a list of what there is to ask
// for.
func (s *site) index(w http.ResponseWriter, r *http.Request) {
	if !web.WantsPage(r) {
		s.list(w)
		return
	}
	s.readWorkers(r.Context())
	v := s.view()
	sitePages.Serve(w, r, s.Log, http.StatusOK, "worker", web.Page{
		Title: v.Title(), Tone: v.Tone, Nav: s.nav(), Here: "/", Events: "/events", Data: v,
	})
}

func (s *site) list(w http.ResponseWriter) {
	lines := []string{"understudy " + s.Version}
	for _, route := range s.routes() {
		if route.Path != "/{$}" {
			lines = append(lines, fmt.Sprintf("%-4s %s", route.Method, route.Path))
		}
	}
	web.Text(w, http.StatusOK, strings.Join(lines, "\n"))
}

// parts are what changes on the page: each is a template, and the id of the
// element that it stands in.
var parts = []string{"band", "figures", "throughput", "depth", "running", "finished", "failures", "epochs", "workers", "podinfo", "machinery"}

// frame is the page as it is now.
func (s *site) frame(context.Context) (web.Frame, error) {
	v := s.view()
	frame := web.Frame{Title: v.Title(), Tone: v.Tone, Parts: make([]web.Part, 0, len(parts))}
	for _, name := range parts {
		html, err := sitePages.Part(name, v)
		if err != nil {
			return web.Frame{}, err
		}
		frame.Parts = append(frame.Parts, web.Part{ID: name, HTML: html})
	}
	return frame, nil
}

// watchStatus has pages show a change of role at once, until ctx ends.
func (s *site) watchStatus(ctx context.Context) {
	last := s.Status()
	every(ctx, statusEvery, func() {
		if !s.live.Watched() {
			return
		}
		if now := s.Status(); now != last {
			last = now
			s.live.Wake()
		}
	})
}
