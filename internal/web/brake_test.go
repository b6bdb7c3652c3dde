package web_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/understudy-worker/understudy/internal/web"
)

// TestWrongTokensAreLoggedAndSlowed tries many at a time, in the login and as
// bearer tokens: only some are looked at in a while, and right ones do not wait for them.
func TestWrongTokensAreLoggedAndSlowed(t *testing.T) {
	t.Parallel()
	const tries = 40
	for name, try := range map[string]func(s *site) answer{
		"a login with a wrong token":   func(s *site) answer { return ask(s, post("/login", "token", "wrong")) },
		"a request with a wrong token": func(s *site) answer { return ask(s, get("/page"), "Authorization", "Bearer wrong") },
	} {
		s := newSite(web.Options{Token: token("secret")})
		began := time.Now()
		if got := try(s); got.code != 401 || time.Since(began) < 400*time.Millisecond {
			t.Errorf("%s: %d after %s", name, got.code, time.Since(began))
		}
		codes := make(chan int, tries)
		var all sync.WaitGroup
		for range tries {
			all.Go(func() { codes <- try(s).code })
		}
		if got := ask(s, get("/page"), "Authorization", "Bearer secret"); got.code != 200 {
			t.Errorf("the right token, meanwhile: %d", got.code)
		}
		all.Wait()
		close(codes)
		count := map[int]int{}
		for code := range codes {
			count[code]++
		}
		if count[401]+count[429] != tries || count[401] == 0 {
			t.Errorf("%s: answers %v, want 401 and 429 alone", name, count)
		}
		if lines := strings.Count(s.log.String(), name); lines != count[401]+1 || strings.Contains(s.log.String(), "wrong\"") {
			t.Errorf("%s: %d lines in the log for %d wrong tokens that were looked at", name, lines, count[401]+1)
		}
	}
}
