package web_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
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

func TestWithoutAUsableTokenNobodyIsLetInAndTheKeyIsNamed(t *testing.T) {
	t.Parallel()
	s := newSite(web.Options{Token: func() (string, error) { return "", errTest }})
	for _, accept := range [][]string{nil, browser} {
		for _, r := range []*http.Request{get("/page"), post("/login", "token", "x")} {
			got := ask(s, r, accept...)
			if got.code != 503 || strings.Contains(got.body, errTest.Error()) {
				t.Errorf("got %d %s", got.code, got.body)
			}
			mustContain(t, got.body, "http.token_file cannot be used")
		}
	}
	mustContain(t, s.log.String(), errTest.Error(), "http.token_file")
}

func TestABrowserIsToldOnAPageWhatIsNotThere(t *testing.T) {
	t.Parallel()
	s := newSite(web.Options{})
	for _, c := range []struct {
		request *http.Request
		code    int
		says    string
	}{
		{get("/nothing"), 404, "There is nothing at /nothing."},
		{get("/change"), 405, "/change is not there to GET, but to POST."},
	} {
		got := ask(s, c.request, browser...)
		if got.code != c.code || got.header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%s: got %d %v", c.request.URL, got.code, got.header)
		}
		mustContain(t, got.body, c.says, "<!doctype html>")
	}
	if got := ask(s, get("//page"), browser...); got.code != 307 && got.code != 301 || got.header.Get("Location") != "/page" {
		t.Errorf("a path to be tidied: %d %v", got.code, got.header)
	}
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

func TestAFormThatCannotBeReadIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(web.Options{Token: token("secret")})
	for _, body := range []string{"token=%zz", "token=secret;next=/"} {
		r := httptest.NewRequest("POST", "/login", strings.NewReader(body))
		r.Host = "worker:8080"
		got := ask(s, r, "Content-Type", "application/x-www-form-urlencoded")
		if got.code != 400 || !strings.Contains(got.body, "the form cannot be read") {
			t.Errorf("%s: %d %s", body, got.code, got.body)
		}
	}
}

func TestANameThatSomeoneMadeLeadToThisMachineIsNotTakenForIt(t *testing.T) {
	t.Parallel()
	loopback := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 7000}
	for _, c := range []struct {
		host  string
		at    net.Addr
		token func() (string, error)
		want  int
	}{
		{"localhost:7000", loopback, nil, 200},
		{"LOCALHOST", loopback, nil, 200},
		{"127.0.0.1:7000", loopback, nil, 200},
		{"[::1]:7000", &net.TCPAddr{IP: net.IPv6loopback}, nil, 200},
		{"evil.example:7000", loopback, nil, 403},
		{"localhost.evil.example", loopback, nil, 403},
		{"127.0.0.1.evil.example", loopback, nil, 403},
		{"", loopback, nil, 403},
		{"worker-active:8080", &net.TCPAddr{IP: net.IPv4(10, 0, 0, 7), Port: 8080}, nil, 200},
		{"evil.example:7000", loopback, token("secret"), 200}, // a browser has no cookie for that name
	} {
		s := newSite(web.Options{Token: c.token})
		for _, r := range []*http.Request{get("/page"), post("/change")} {
			r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, c.at))
			r.Host = c.host
			got := ask(s, r, "Authorization", "Bearer secret", "Origin", "http://"+c.host, "Sec-Fetch-Site", "same-origin")
			if got.code != c.want {
				t.Errorf("%s of %q at %s: got %d, want %d: %s", r.Method, c.host, c.at, got.code, c.want, got.body)
			}
		}
		r := get("/open")
		r.Host = c.host
		if got := ask(s, r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, c.at))); got.code != 200 {
			t.Errorf("a probe of %q: %d", c.host, got.code)
		}
	}
}

func TestARouteThatIsOpenForOneMethodIsNotForOthers(t *testing.T) {
	t.Parallel()
	s := newSite(web.Options{Token: token("secret")})
	for method, want := range map[string]int{"GET": 200, "HEAD": 200, "POST": 401, "DELETE": 401} {
		if got := ask(s, httptest.NewRequest(method, "/open", nil)); got.code != want {
			t.Errorf("%s: got %d, want %d", method, got.code, want)
		}
	}
}
