package browser_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
)

func TestPeopleLogInWithTheTokenAndOut(t *testing.T) {
	t.Parallel()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("open sesame\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newStage(t)
	w := s.start("active", "--http.token_file="+token)
	tb := open(t, w.url("/jobs?state=completed"), desktop)
	tb.says("h1", "Log in")
	tb.usable()
	tb.do(chromedp.SendKeys("#token", "wrong\r"))
	tb.says("#problem", "That is not the token")
	tb.usable()
	tb.do(chromedp.SendKeys("#token", "open sesame\r"))
	tb.until(`location.pathname + location.search === "/jobs?state=completed"`)
	tb.visit(w.url("/"))
	tb.says("#band", "Serving production")
	tb.click(`form[action="/dummy"] button`)
	tb.says("#notice", "Job 1 is enqueued.")
	tb.says("#finished", "completed")
	tb.mark()
	if err := os.WriteFile(token, []byte("changed\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tb.says("h1", "Log in") // its stream ended, and did not come back
	tb.do(chromedp.SendKeys("#token", "changed\r"))
	tb.says("#band", "Serving production")
	tb.click(`form[action="/logout"] button`)
	tb.says("h1", "Log in")
	tb.visit(w.url("/"))
	tb.says("h1", "Log in")
}
