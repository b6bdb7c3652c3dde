package browser_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/understudy-worker/understudy/internal/pause"
	"github.com/understudy-worker/understudy/internal/pgtest"
	"github.com/understudy-worker/understudy/internal/process"
)

// demo is the demo under way, and where its pages are.
type demo struct {
	t                       *testing.T
	tester, active, preview string // URLs
	out                     output
	proc                    *process.Process
}

// output is what a process writes. It is safe for concurrent use.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

var demoPages = regexp.MustCompile(`open (http://\S+): .*active version's page is (http://\S+), the preview's (http://\S+)`)

// play starts the demo, which takes its keys from a pipe that stays open, and
// ends it with the test.
func play(t *testing.T, flags ...string) *demo {
	t.Helper()
	d := &demo{t: t}
	keys, hand, err := os.Pipe()
	d.must(err)
	t.Cleanup(func() { _, _ = keys.Close(), hand.Close() })
	cmd := exec.Command(os.Args[0], append([]string{
		"demo", "--active-port=0", "--preview-port=0", "--tester-port=0", "--dsn=" + pgtest.DSN(t), "--schema-prefix=play_" + strings.ToLower(rand.Text()[:8]) + "_",
	}, flags...)...)
	cmd.Env = append(os.Environ(), programVariable+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = keys, &d.out, &d.out
	d.proc, err = process.Start(cmd, syscall.SIGTERM)
	d.must(err)
	t.Cleanup(d.end)
	for deadline := time.Now().Add(patience); ; {
		if found := demoPages.FindStringSubmatch(d.out.String()); found != nil {
			d.tester, d.active, d.preview = found[1], found[2], found[3]
			return d
		}
		if d.proc.Ended() || time.Now().After(deadline) {
			t.Fatalf("the demo does not say where its pages are:\n%s", &d.out)
		}
		d.must(pause.For(t.Context(), 20*time.Millisecond))
	}
}

func (d *demo) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

// end ends the demo as Ctrl-C does. It fails if a promise was broken.
func (d *demo) end() {
	_ = d.proc.Signal(syscall.SIGTERM)
	if !d.proc.Wait(patience) {
		_ = d.proc.SignalGroup(syscall.SIGKILL)
		<-d.proc.Done()
		d.t.Error("the demo did not end after SIGTERM")
	}
	if err := d.proc.Err(); err != nil {
		d.t.Errorf("the demo: %v", err)
	}
	if d.t.Failed() {
		d.t.Logf("the demo says:\n%s", &d.out)
	}
}

// step presses a button of the rollout as soon as it can be pressed, and waits
// until its step is over.
func (tb *tab) step(verb string) {
	tb.t.Helper()
	button := fmt.Sprintf(`form[data-key=%q] button`, verb)
	tb.until(fmt.Sprintf(`document.querySelector(%q)?.matches(":enabled:not([aria-disabled=true])")`, button))
	tb.click(button)
	tb.says("#notice", "Begun: "+verb)
	tb.until(`document.querySelector("#stage").innerText.includes("choose what happens next")`)
}

// toldWhyNot reaches the button of a step that cannot be done by keyboard, presses
// it, and sees that the page says why nothing comes of it.
func (tb *tab) toldWhyNot(verb string) {
	tb.t.Helper()
	button := fmt.Sprintf(`document.querySelector('form[data-key=%q] button')`, verb)
	tb.until(button + `?.getAttribute("aria-disabled") === "true"`)
	why := ask[string](tb, button+`.title`)
	ask[bool](tb, button+`.focus(), true`)
	if !ask[bool](tb, `document.activeElement === `+button) {
		tb.t.Fatalf("the button of %s cannot be reached by keyboard", verb)
	}
	tb.do(chromedp.KeyEvent("\r"))
	tb.says("#notice", why)
}

func TestTheDemoIsPlayedByItsButtonsAndItsPagesFollow(t *testing.T) {
	t.Parallel()
	d := play(t)
	tb := open(t, d.tester, desktop)
	tb.says("#stage", "choose what happens next")
	page := open(t, d.active, desktop)
	page.says("#band", "Version 1.0")
	tb.says("#side-production", "1.0")
	tb.says("#side-preview", "2.0")
	tb.usable()
	tb.toldWhyNot("undo")
	tb.step("promote")
	page.says("#band", "Version 2.0") // the active Service leads to it
	page.says("#band", "Serving production")
	tb.says("#side-preview", "No version is in preview.")
	tb.step("undo")
	page.says("#band", "Version 1.0")
	tb.step("new")
	tb.says("#side-preview", "3.0")
	tb.click(`form[action="/enqueue"]:has([value=preview]) button`)
	tb.says("#notice", "in preview")
	tb.step("abort")
	narrow := open(t, d.tester, phone)
	narrow.says("#stage", "choose what happens next")
	narrow.usable()
}
