package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

//go:embed templates
var ownFiles embed.FS

// ownPages are the pages that every site has.
var ownPages = NewPages(ownFiles, nil)

// Page is what the frame around a page shows.
type Page struct {
	Title string
	// Tone is the page's colour: one of Blue, Green and Grey.
	Tone string
	// Nav leads to the site's pages; the one whose path is Here is marked.
	Nav  []Link
	Here string
	// Events is the path of the stream that keeps the page up to date, "" for none.
	Events string
	// Refresh is how often the page is read anew instead, 0 for never.
	Refresh time.Duration
	Data    any
}

// The tones of a page.
const (
	Blue  = "blue"  // works production's jobs
	Green = "green" // works in preview
	Grey  = "grey"  // idle
)

// Link is a text that leads somewhere.
type Link struct{ Text, Path string }

// Pages are templates of pages and of parts of them. They do not change, and are
// read when the first of them is made: most commands make none.
type Pages struct {
	whole func() *template.Template // says how long ago things were
	live  func() *template.Template // leaves that to the browser, so that nothing changes with time alone
}

// NewPages are the templates of a site, templates/*.html in files. Each page is a
// template "<name>" that stands in the frame; funcs come on top of the ones that
// all have. A mistake in them panics when they are read, as template.Must does.
func NewPages(files fs.FS, funcs template.FuncMap) *Pages {
	parse := func(moment func(time.Time) string) *template.Template {
		t := template.New("").Funcs(commonFuncs).Funcs(template.FuncMap{
			"ago": func(v any) (template.HTML, error) { return timeElement("ago", v, moment) },
			"age": func(v any) (template.HTML, error) { return timeElement("age", v, moment) },
		}).Funcs(funcs)
		t = template.Must(t.ParseFS(ownFiles, "templates/frame.html"))
		return template.Must(t.ParseFS(files, "templates/*.html"))
	}
	return &Pages{
		whole: sync.OnceValue(func() *template.Template {
			return parse(func(t time.Time) string { return Span(time.Since(t)) })
		}),
		live: sync.OnceValue(func() *template.Template {
			return parse(func(time.Time) string { return "" })
		}),
	}
}

// frame is what the template of the frame sees.
type frame struct {
	Page
	Name     string // of the page's template
	Content  template.HTML
	Now      int64 // milliseconds since 1970
	Build    string
	LoggedIn bool
}

// RefreshMillis is Refresh in milliseconds.
func (f frame) RefreshMillis() int64 { return f.Refresh.Milliseconds() }

// Serve answers with a page. Nothing is written before all of it is made.
func (p *Pages) Serve(w http.ResponseWriter, r *http.Request, log *slog.Logger, code int, name string, page Page) {
	content, err := execute(p.whole(), name, page.Data)
	var whole []byte
	if err == nil {
		whole, err = execute(p.whole(), "frame", frame{
			Page: page, Name: name, Content: template.HTML(content), Now: time.Now().UnixMilli(), Build: build, LoggedIn: hasSession(r.Context()),
		})
	}
	if err != nil {
		log.Error("request", "method", r.Method, "path", r.URL.Path, "err", err)
		http.Error(w, "internal error: see the log", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	_, _ = w.Write(whole)
}

// Part makes a part of a page, for its stream of events.
func (p *Pages) Part(name string, data any) (string, error) {
	part, err := execute(p.live(), name, data)
	return string(part), err
}

func execute(t *template.Template, name string, data any) ([]byte, error) {
	var out bytes.Buffer
	if err := t.ExecuteTemplate(&out, name, data); err != nil {
		return nil, fmt.Errorf("make page: %w", err)
	}
	return out.Bytes(), nil
}
