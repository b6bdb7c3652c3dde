package web_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-worker/understudy/internal/web"
)

// login logs in and returns the cookie.
func login(t *testing.T, s *site, token string) *http.Cookie {
	t.Helper()
	got := ask(s, post("/login", "token", token, "next", "/page"))
	if got.code != 303 || got.header.Get("Location") != "/page" {
		t.Fatalf("got %d to %q: %s", got.code, got.header.Get("Location"), got.body)
	}
	cookie, err := http.ParseSetCookie(got.header.Get("Set-Cookie"))
	if err != nil {
		t.Fatal(err)
	}
	return cookie
}

func cookied(c *http.Cookie) []string { return []string{"Cookie", c.Name + "=" + c.Value} }

func TestALoginSetsACookieThatScriptsAndOtherSitesDoNotGetAndThatHoldsNoToken(t *testing.T) {
	t.Parallel()
	s := newSite(web.Options{Token: token("secret-token\n")})
	c := login(t, s, " secret-token ")
	if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.MaxAge != 12*60*60 || c.Secure {
		t.Errorf("the cookie is %+v", c)
	}
	if strings.Contains(c.String(), "secret") {
		t.Errorf("the cookie holds the token: %s", c)
	}
	if got := ask(s, get("/page"), cookied(c)...); got.code != 200 || got.body != "the page\n" {
		t.Errorf("with the cookie: %d %s", got.code, got.body)
	}
	got := ask(s, post("/login", "token", "secret-token"), "X-Forwarded-Proto", "https")
	mustContain(t, got.header.Get("Set-Cookie"), "Secure")
}

func TestAWrongTokenLogsNobodyIn(t *testing.T) {
	t.Parallel()
	s := newSite(web.Options{Token: token("secret")})
	for _, given := range []string{"", "wrong", "secret2", "SECRET"} {
		got := ask(s, post("/login", "token", given, "next", "/page"))
		if got.code != 401 || got.header.Get("Set-Cookie") != "" {
			t.Errorf("%q: got %d, cookie %q", given, got.code, got.header.Get("Set-Cookie"))
		}
		mustContain(t, got.body, "That is not the token in http.token_file.", `name="next" value="/page"`)
	}
}

func TestASessionEndsWhenItsTokenIsRotated(t *testing.T) {
	t.Parallel()
	now := "old"
	s := newSite(web.Options{Token: func() (string, error) { return now, nil }})
	c := login(t, s, "old")
	now = "new"
	if got := ask(s, get("/page"), cookied(c)...); got.code != 401 {
		t.Errorf("the old session: %d", got.code)
	}
	c2 := login(t, s, "new")
	if c2.Name == c.Name || c2.Value == c.Value {
		t.Errorf("the new cookie is as the old one: %s, %s", c, c2)
	}
	for _, forged := range []string{"", "x", c.Value, c2.Value[:len(c2.Value)-1], "new"} {
		if got := ask(s, get("/page"), "Cookie", c2.Name+"="+forged); got.code != 401 {
			t.Errorf("the cookie %q: %d", forged, got.code)
		}
	}
}

func TestASessionEndsWhenItsTimeIsUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(web.Options{Token: token("secret")})
		c := login(t, s, "secret")
		time.Sleep(12*time.Hour - time.Second)
		if got := ask(s, get("/page"), cookied(c)...); got.code != 200 {
			t.Errorf("a second before: %d", got.code)
		}
		time.Sleep(time.Second)
		if got := ask(s, get("/page"), cookied(c)...); got.code != 401 {
			t.Errorf("when it is up: %d", got.code)
		}
		_, proof, _ := strings.Cut(c.Value, ".")
		later := strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10) + "." + proof
		if got := ask(s, get("/page"), "Cookie", c.Name+"="+later); got.code != 401 {
			t.Errorf("a time that was changed: %d", got.code)
		}
	})
}

func TestAWrongLoginIsInTheLogWithoutWhatWasTyped(t *testing.T) {
	t.Parallel()
	s := newSite(web.Options{Token: token("secret")})
	ask(s, post("/login", "token", "guessed"))
	mustContain(t, s.log.String(), "a login with a wrong token", "from=")
	if strings.Contains(s.log.String(), "guessed") {
		t.Errorf("the log: %s", &s.log)
	}
}

func TestABrowserIsSentToTheLoginAndComesBack(t *testing.T) {
	t.Parallel()
	s := newSite(web.Options{Token: token("secret")})
	got := ask(s, get("/page?x=1&y=2"), browser...)
	if got.code != 303 || got.header.Get("Location") != "/login?next=%2Fpage%3Fx%3D1%26y%3D2" {
		t.Errorf("got %d to %q", got.code, got.header.Get("Location"))
	}
	got = ask(s, get(got.header.Get("Location")), browser...)
	mustContain(t, got.body, `name="next" value="/page?x=1&amp;y=2"`, `type="password"`)
	if got := ask(s, post("/change"), browser...); got.code != 401 || s.changes != 0 {
		t.Errorf("a change without a session: %d", got.code)
	}
}

func TestALoginLeadsToNoOtherSite(t *testing.T) {
	t.Parallel()
	s := newSite(web.Options{Token: token("secret")})
	for _, next := range []string{"https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "evil", "", "/\t/evil.example"} {
		if got := ask(s, post("/login", "token", "secret", "next", next)); got.header.Get("Location") != "/" {
			t.Errorf("%q leads to %q", next, got.header.Get("Location"))
		}
	}
}

func TestALogoutTakesTheCookieBack(t *testing.T) {
	t.Parallel()
	s := newSite(web.Options{Token: token("secret")})
	c := login(t, s, "secret")
	got := ask(s, post("/logout"), cookied(c)...)
	gone, err := http.ParseSetCookie(got.header.Get("Set-Cookie"))
	if err != nil || gone.Name != c.Name || gone.MaxAge >= 0 || got.header.Get("Location") != "/login" {
		t.Errorf("got %d %v, cookie %v, error %v", got.code, got.header, gone, err)
	}
}

func TestWithoutATokenThereIsNothingToLogInTo(t *testing.T) {
	t.Parallel()
	s := newSite(web.Options{})
	for _, r := range []*http.Request{get("/login?next=/page"), post("/login", "token", "x", "next", "/page")} {
		if got := ask(s, r); got.code != 303 || got.header.Get("Location") != "/page" || got.header.Get("Set-Cookie") != "" {
			t.Errorf("%s: got %d %v", r.Method, got.code, got.header)
		}
	}
}

func TestAnotherSiteCannotLogAnybodyInOrOut(t *testing.T) {
	t.Parallel()
	s := newSite(web.Options{Token: token("secret")})
	for _, path := range []string{"/login", "/logout", "/change"} {
		got := ask(s, post(path, "token", "secret"), "Sec-Fetch-Site", "cross-site")
		if got.code != 403 || got.header.Get("Set-Cookie") != "" {
			t.Errorf("%s: got %d %v", path, got.code, got.header)
		}
	}
}
