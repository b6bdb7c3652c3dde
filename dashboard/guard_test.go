package dashboard_test

import (
	"errors"
	"testing"

	"github.com/understudy-worker/understudy/dashboard"
)

var guarded = []struct{ method, path string }{
	{"GET", "/role"}, {"GET", "/count"}, {"GET", "/api/status"}, {"POST", "/dummy"},
	{"GET", "/dummy"}, {"GET", "/nothing"}, {"GET", "/"}, {"GET", "//version"}, {"GET", "/version/../role"},
}

func withToken(token string, err error) dashboard.Options {
	o := options()
	o.Token = func() (string, error) { return token, err }
	return o
}

func TestTheTokenGuardsAllButWhatIsOpen(t *testing.T) {
	t.Parallel()
	h := handler(t, withToken("secret", nil))
	for _, r := range guarded {
		got := ask(h, r.method, r.path)
		got.check(t, 401, "a bearer token is needed: send the one in http.token_file")
		if got.header.Get("WWW-Authenticate") != `Bearer realm="understudy"` {
			t.Errorf("%s %s: WWW-Authenticate is %q", r.method, r.path, got.header.Get("WWW-Authenticate"))
		}
	}
	for _, path := range []string{"/version", "/metrics", "/health/live", "/health/ready"} {
		if got := ask(h, "GET", path); got.code != 200 {
			t.Errorf("GET %s without a token: got %d %q", path, got.code, got.body)
		}
	}
}

func TestOnlyTheRightTokenIsLetIn(t *testing.T) {
	t.Parallel()
	h := handler(t, withToken("secret\n", nil))
	for authorization, want := range map[string]int{
		"Bearer secret":     200,
		"bearer secret":     200,
		"Bearer  secret":    200,
		"":                  401,
		"secret":            401,
		"Bearer":            401,
		"Bearer ":           401,
		"Bearer secre":      401,
		"Bearer secrets":    401,
		"Bearer SECRET":     401,
		"Basic secret":      401,
		"Bearer secret two": 401,
	} {
		if got := ask(h, "GET", "/role", "Authorization", authorization); got.code != want {
			t.Errorf("Authorization %q: got %d, want %d", authorization, got.code, want)
		}
	}
}

func TestTheTokenIsReadForEachRequest(t *testing.T) {
	t.Parallel()
	token := "old"
	o := options()
	o.Token = func() (string, error) { return token, nil }
	h := handler(t, o)
	if got := ask(h, "GET", "/role", "Authorization", "Bearer old"); got.code != 200 {
		t.Errorf("before the rotation: got %d", got.code)
	}
	token = "new"
	if got := ask(h, "GET", "/role", "Authorization", "Bearer old"); got.code != 401 {
		t.Errorf("the old token after the rotation: got %d", got.code)
	}
	if got := ask(h, "GET", "/role", "Authorization", "Bearer new"); got.code != 200 {
		t.Errorf("the new token after the rotation: got %d", got.code)
	}
}

func TestWithoutAReadableTokenNobodyIsLetIn(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]dashboard.Options{
		"unreadable": withToken("secret", errors.New("open /run/token: no such file")),
		"empty":      withToken(" \n", nil),
	} {
		log, out := logged()
		o.Log = log
		h := handler(t, o)
		for _, authorization := range []string{"", "Bearer ", "Bearer secret"} {
			ask(h, "GET", "/role", "Authorization", authorization).check(t, 503, "http.token_file cannot be used, and so nobody is let in: the log says why")
		}
		mustContain(t, name+": the log", out.String(), "level=ERROR", "http.token_file")
		if got := ask(h, "GET", "/health/ready"); got.code != 200 {
			t.Errorf("%s: a probe got %d", name, got.code)
		}
	}
}
