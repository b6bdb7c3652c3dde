package browser_test

import (
	"context"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/understudy-worker/understudy/internal/pause"
)

// patience bounds every wait of these tests.
const patience = 60 * time.Second

// browsers are what Chromium is called.
var browsers = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}

// tab is a page in a browser of its own.
type tab struct {
	t   *testing.T
	ctx context.Context
	// console is what the page says there, until the browser is closed.
	console iter.Seq2[chromedp.ConsoleMessage, error]
}

// look is how a page is looked at.
type look struct {
	width, height int64
	scheme        string // light or dark
}

var (
	desktop = look{1280, 900, "light"}
	phone   = look{360, 740, "light"}
)

// open starts a browser and opens a page in it. What the console complains of
// fails the test, a style or script that the policy of the site refuses too.
func open(t *testing.T, url string, how look) *tab {
	t.Helper()
	alloc, stop := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(browser(t)),
		chromedp.Flag("no-sandbox", os.Geteuid() == 0), // it does not work as root
		chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.WSURLReadTimeout(patience),
	)...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(cancel)
	tb := &tab{t: t, ctx: ctx, console: chromedp.Console(ctx)}
	tb.must(chromedp.Do(ctx, chromedp.EmulateViewport(how.width, how.height))) // starts the browser, which is to outlive any timeout
	tb.prefers("prefers-color-scheme", how.scheme)
	tb.do(chromedp.Navigate(url))
	t.Cleanup(tb.close)
	return tb
}

// prefers says what the person at the browser prefers.
func (tb *tab) prefers(feature, value string) {
	tb.t.Helper()
	_, err := chromedp.Call(tb.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: feature, Value: value}},
	})
	tb.must(err)
}

func (tb *tab) must(err error) {
	tb.t.Helper()
	if err != nil {
		tb.t.Fatalf("in the browser: %v", err)
	}
}

// close ends the browser, and tells what the console complained of. That a
// stream broke off or a server is away is no mistake of the page.
func (tb *tab) close() {
	tb.must(chromedp.Cancel(tb.ctx))
	for message := range tb.console {
		if (message.IsException() || message.Type == "error") && message.Source != "network" {
			tb.t.Errorf("the console says: %s", message)
		}
	}
}

// browser is the path of Chromium.
func browser(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a browser")
	}
	for _, name := range browsers {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatalf("no browser is there, none of %s: install Chromium, or test without: -short", strings.Join(browsers, ", "))
	return ""
}

// do does things, one after another.
func (tb *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	tb.t.Helper()
	ctx, cancel := context.WithTimeout(tb.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		tb.t.Fatalf("in the browser: %v\nthe page:\n%s", err, tb.words())
	}
}

// visit goes to another page.
func (tb *tab) visit(url string) {
	tb.t.Helper()
	tb.do(chromedp.Navigate(url))
}

// words is what the page says, for a message.
func (tb *tab) words() string {
	ctx, cancel := context.WithTimeout(tb.ctx, 5*time.Second)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string]("document.body.innerText"))
	if err != nil {
		return err.Error()
	}
	return text
}

// ask is the value of an expression on the page.
func ask[T any](tb *tab, expression string) T {
	tb.t.Helper()
	ctx, cancel := context.WithTimeout(tb.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		tb.t.Fatalf("%s: %v", expression, err)
	}
	return value
}

// until waits for an expression to be true, on this page or on one that the
// browser goes to meanwhile.
func (tb *tab) until(expression string) {
	tb.t.Helper()
	ctx, cancel := context.WithTimeout(tb.ctx, patience)
	defer cancel()
	for {
		if yes, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("Boolean("+expression+")")); err == nil && yes {
			return
		}
		if pause.For(ctx, 20*time.Millisecond) != nil {
			tb.t.Fatalf("waited in vain until %s; the page:\n%s", expression, tb.words())
		}
	}
}

// says waits until an element says something.
func (tb *tab) says(selector, text string) {
	tb.t.Helper()
	tb.until(fmt.Sprintf("document.querySelector(%q)?.innerText.includes(%q)", selector, text))
}

// click clicks at an element as a person does: there, with a mouse.
func (tb *tab) click(selector string) {
	tb.t.Helper()
	tb.do(chromedp.ScrollIntoView(selector), chromedp.Click(selector, chromedp.NodeVisible))
}
