package browser_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/understudy-worker/understudy/internal/pause"
)

// pictures is where pictures of the pages go: make screenshots.
var pictures = flag.String("pictures", "", "directory to write pictures of all pages to")

// playTime is how long the demo runs before it is pictured, so that the plots
// show something.
const playTime = 2 * time.Minute

// whole is taller than any page that is pictured whole.
const whole = 3000

// picture takes a picture of a page from its top, in light and in dark, when what
// it says for a moment has gone.
func (tb *tab) picture(name string, tallest int64) {
	tb.t.Helper()
	tb.until(`!document.getElementById("notice").textContent`)
	height := min(ask[int64](tb, "document.documentElement.scrollHeight"), tallest)
	tb.do(chromedp.EmulateViewport(desktop.width, height))
	for _, scheme := range []string{"light", "dark"} {
		tb.prefers("prefers-color-scheme", scheme)
		shot, err := chromedp.Call(tb.ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{Format: page.CaptureScreenshotFormatWebp})
		tb.must(err)
		tb.must(os.WriteFile(filepath.Join(*pictures, name+"-"+scheme+".webp"), shot.Data, 0o644))
	}
	tb.do(chromedp.EmulateViewport(desktop.width, desktop.height))
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
		tb.picture(name, whole)
		if name == "worker-active" {
			failed := ask[string](tb, `document.querySelector("#failures a").getAttribute("href")`)
			tb.visit(url + "/jobs?kind=fail")
			tb.says("main", "retryable")
			tb.picture("jobs", 760)
			tb.visit(url + failed)
			tb.picture("job", whole)
		}
	}
	tester.step("promote")
	tester.step("new")
	tester.says("#side-preview", "3.0")
	tester.picture("tester", whole)

	token := filepath.Join(t.TempDir(), "token")
	d.must(os.WriteFile(token, []byte("a token"), 0o600))
	s := newStage(t)
	idle, guarded := s.start(""), s.start("active", "--http.token_file="+token)
	tb := open(t, idle.url("/"), desktop)
	tb.says("#band", "Idle")
	tb.picture("worker-idle", whole)
	tb.visit(guarded.url("/"))
	tb.says("h1", "Log in")
	tb.picture("login", whole)
	t.Log("pictures are in ", *pictures)
}
