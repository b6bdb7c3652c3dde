package web_test

import (
	"strings"
	"testing"

	"github.com/understudy-worker/understudy/internal/web"
)

func TestWhatMayOnlyBeReadIsNotChanged(t *testing.T) {
	t.Parallel()
	s := newSite(web.Options{ReadOnly: true})
	got := ask(s, post("/change"))
	if got.code != 403 || got.body != "refused: http.read_only is set\n" || s.changes != 0 {
		t.Errorf("got %d %q, %d changes", got.code, got.body, s.changes)
	}
	if got := ask(s, get("/page")); got.code != 200 {
		t.Errorf("reading: %d", got.code)
	}
}

func TestEveryAnswerForbidsScriptsAndStylesThatAreNotOurs(t *testing.T) {
	t.Parallel()
	s := newSite(web.Options{Token: token("secret")})
	for _, path := range []string{"/page", "/open", "/login", "/nothing", "/assets/live.js"} {
		policy := ask(s, get(path)).header.Get("Content-Security-Policy")
		mustContain(t, policy, "default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'")
		if strings.Contains(policy, "unsafe") {
			t.Errorf("%s: %s", path, policy)
		}
	}
}

func TestARefusalIsAPageForPeopleAndALineForPrograms(t *testing.T) {
	t.Parallel()
	s := newSite(web.Options{ReadOnly: true})
	got := ask(s, post("/change"), browser...)
	if got.code != 403 || got.header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("got %d %v", got.code, got.header)
	}
	mustContain(t, got.body, "refused: http.read_only is set", "<!doctype html>")
}

func TestAnErrorsTextStaysInTheLog(t *testing.T) {
	t.Parallel()
	s := newSite(web.Options{Token: func() (string, error) { return "", errTest }})
	for _, accept := range [][]string{nil, browser} {
		got := ask(s, get("/page"), accept...)
		if got.code != 500 || strings.Contains(got.body, errTest.Error()) {
			t.Errorf("got %d %s", got.code, got.body)
		}
		mustContain(t, got.body, "internal error: see the log")
	}
	mustContain(t, s.log.String(), errTest.Error(), "/page")
}

func TestAssetsMayBeKeptByTheirVersionAndNeedNoToken(t *testing.T) {
	t.Parallel()
	s := newSite(web.Options{Token: token("secret")})
	page := ask(s, get("/login")).body
	for name, kind := range map[string]string{"style.css": "text/css; charset=utf-8", "live.js": "text/javascript; charset=utf-8", "grey.svg": "image/svg+xml"} {
		_, rest, found := strings.Cut(page, "/assets/"+name+"?v=")
		if !found {
			t.Fatalf("the page does not refer to %s by its version", name)
		}
		version, _, _ := strings.Cut(rest, `"`)
		got := ask(s, get("/assets/"+name+"?v="+version))
		if got.code != 200 || got.header.Get("Content-Type") != kind || !strings.Contains(got.header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d %v", name, got.code, got.header)
		}
		if got := ask(s, get("/assets/"+name)); got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s without its version: %v", name, got.header)
		}
		if got := ask(s, get("/assets/"+name), "If-None-Match", `"`+version+`"`); got.code != 304 {
			t.Errorf("%s that is known: %d", name, got.code)
		}
	}
}

func TestAllAssetsAreSmall(t *testing.T) {
	t.Parallel()
	s := newSite(web.Options{})
	total := 0
	for _, name := range []string{"style.css", "live.js", "blue.svg", "green.svg", "grey.svg"} {
		total += len(ask(s, get("/assets/"+name)).body)
	}
	if total > 40<<10 {
		t.Errorf("the assets have %d bytes: with a page they are to stay under 100 KB", total)
	}
}

func TestABodyThatIsTooLargeIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(web.Options{Token: token("secret")})
	got := ask(s, post("/login", "token", strings.Repeat("x", 5<<20)))
	if got.code != 401 {
		t.Errorf("got %d", got.code)
	}
}
