package browser_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/understudy-worker/understudy/internal/pause"
)

// pictures is where pictures of the pages go: make screenshots.
var pictures = flag.String("pictures", "", "directory to write pictures of all pages to")

// playTime is how long the demo runs before it is pictured, so that the plots
// show something.
const playTime = 2 * time.Minute

// picture takes a picture of the whole page, in light and in dark.
func (tb *tab) picture(name string) {
	tb.t.Helper()
	for _, scheme := range []string{"light", "dark"} {
		tb.prefers("prefers-color-scheme", scheme)
		image, err := chromedp.Run(tb.ctx, chromedp.FullScreenshot(100))
		tb.must(err)
		tb.must(os.WriteFile(filepath.Join(*pictures, name+"-"+scheme+".png"), image, 0o644))
	}
}

// busy is a load that has something of everything.
const busy = `
	const load = (side, kind, count, args) => fetch("/enqueue", { method: "POST", headers: { Accept: "application/json" },
		body: new URLSearchParams({ side, kind, count, args: JSON.stringify(args) }) });
	let turn = 0;
	setInterval(() => {
		turn++;
		for (const side of ["production", "preview"]) {
			load(side, "echo", 20 + Math.round(60 * Math.sin(turn / 6) ** 2), { order: 1000 + turn, to: "ada@example.com" });
			load(side, "sleep", 3, { seconds: 4 });
			if (turn % 5 === 0) load(side, "fail", 2, { message: "the mail server says 451: try again later" });
		}
	}, 1000);
	true`

func TestPicturesOfEveryPage(t *testing.T) {
	if *pictures == "" {
		t.Skip("pictures are taken by: make screenshots")
	}
	t.Parallel()
	d := play(t)
	tester := open(t, d.tester, desktop)
	tester.says("#stage", "choose what happens next")
	ask[bool](tester, busy)
	d.must(pause.For(t.Context(), playTime))
	for name, url := range map[string]string{"worker-active": d.active, "worker-preview": d.preview} {
		tb := open(t, url, desktop)
		tb.says("#failures", "451")
		tb.says("#running", "sleep")
		tb.picture(name)
		if name == "worker-active" {
			failed := ask[string](tb, `document.querySelector("#failures a").getAttribute("href")`)
			tb.visit(url + "/jobs")
			tb.picture("jobs")
			tb.visit(url + failed)
			tb.picture("job")
		}
	}
	tester.step("promote")
	tester.step("new")
	tester.says("#side-preview", "3.0")
	tester.picture("tester")

	token := filepath.Join(t.TempDir(), "token")
	d.must(os.WriteFile(token, []byte("a token"), 0o600))
	s := newStage(t)
	idle, guarded := s.start(""), s.start("active", "--http.token_file="+token)
	tb := open(t, idle.url("/"), desktop)
	tb.says("#band", "Idle")
	tb.picture("worker-idle")
	tb.visit(guarded.url("/"))
	tb.says("h1", "Log in")
	tb.picture("login")
	t.Log("pictures are in ", *pictures)
}
