package browser_test

import (
	_ "embed"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// audit lists what of a page some people could not use.
//
//go:embed testdata/audit.js
var audit string

// usable checks that a page can be used by everybody: on this screen, in either
// scheme of colours, by keyboard and screen reader.
func (tb *tab) usable() {
	tb.t.Helper()
	for _, scheme := range []string{"light", "dark"} {
		tb.prefers("prefers-color-scheme", scheme)
		if problems := ask[[]string](tb, audit); len(problems) > 0 {
			tb.t.Errorf("%s, %s:\n%s", ask[string](tb, "location.pathname"), scheme, strings.Join(problems, "\n"))
		}
	}
}

func TestTheAuditFindsWhatSomePeopleCouldNotUse(t *testing.T) {
	t.Parallel()
	var body string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, `<!doctype html><html lang="en"><title>A page</title><link rel="icon" href="data:,"><style>.box { overflow: auto; width: 9em; white-space: nowrap; color: #000; background: #fff }
			.faded { opacity: .5 } .white { color: #fff } .black { background: #000 }</style><h1>A page</h1>`+body)
	}))
	t.Cleanup(server.Close)
	tb := open(t, "about:blank", desktop)
	const long = "a line that is much longer than its box is wide"
	for _, c := range []struct{ html, want string }{ // "" for no problem
		{`<div class="box">` + long + `</div>`, "no keyboard can scroll it"},
		{`<div class="box" style="height: 1em; white-space: normal">` + long + `</div>`, "no keyboard can scroll it"},
		{`<div class="box"><button disabled>` + long + `</button></div>`, "no keyboard can scroll it"},
		{`<div class="box" tabindex="0">` + long + `</div>`, ""},
		{`<div class="box"><a href="/">` + long + `</a></div>`, ""},
		{`<div class="box">short</div>`, ""},
		{`<p aria-labelledby="here" aria-describedby="nowhere" id="here">A word</p>`, "aria-describedby refers to nowhere"},
		{`<p aria-labelledby="nowhere" aria-describedby="here" id="here">A word</p>`, "aria-labelledby refers to nowhere"},
		{`<p role="status" hidden>A word</p>`, "nobody is told of it"},
		{`<div style="display: none"><p aria-live="polite">A word</p></div>`, "nobody is told of it"},
		{`<p role="status"></p>`, ""},
		{`<div class="faded"><p>A word</p></div>`, "contrast of 3.9"}, // #7f7f7f on white
		{`<div class="faded" style="opacity: .9"><p>A word</p></div>`, ""},
		{`<div class="faded black"><p class="white">A word</p></div>`, "contrast of 3.9"},
		{`<div class="faded"><button disabled style="background: #fff; padding: 1em">A word</button></div>`, ""},
		{`<section aria-label="One"><div role="region" aria-label="One">A word</div></section>`, `more regions than one are called "One"`},
		{`<section aria-label="One"><div role="region" aria-label="Two">A word</div></section>`, ""},
	} {
		body = c.html
		tb.visit(server.URL)
		problems := ask[[]string](tb, audit)
		if (c.want == "") != (len(problems) == 0) || !strings.Contains(fmt.Sprint(problems), c.want) {
			t.Errorf("%s\nproblems %q, want %q", c.html, problems, c.want)
		}
	}
}
