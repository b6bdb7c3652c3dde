package browser_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/understudy-worker/understudy/store"
)

func TestThePageOfEachRoleSaysItInWordsAndColour(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for _, c := range []struct{ role, tone, word, headline string }{
		{"active", "blue", "ACTIVE", "Serving production"},
		{"preview", "green", "PREVIEW", "Serving preview"},
		{"", "grey", "IDLE", "Idle: claims nothing, waits for a role"},
	} {
		w := s.start(c.role)
		tb := open(t, w.url("/"), desktop)
		tb.says("#band", c.headline)
		tb.says("h1", c.word)
		tb.says("#band", "All is well")
		tb.says("#band", "Version 1.0")
		if tone := ask[string](tb, "document.documentElement.dataset.tone"); tone != c.tone {
			t.Errorf("%q: the tone is %q, want %q", c.role, tone, c.tone)
		}
	}
}

func TestAChangeOfRoleIsSeenWithoutAReload(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	w := s.start("preview")
	tb := open(t, w.url("/"), desktop)
	tb.says("#band", "Serving preview")
	tb.mark()
	w.label("active")
	tb.says("#band", "Serving production")
	tb.until(`document.documentElement.dataset.tone === "blue" && document.title.startsWith("active")`)
	tb.says("#epochs", "preview")
	tb.same()
}

func TestADummyJobIsEnqueuedAndSeenToFinish(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	w := s.start("active")
	tb := open(t, w.url("/"), desktop)
	tb.says("#band", "Serving production")
	tb.click(`form[action="/dummy"] button`)
	tb.says("#notice", "Job 1 is enqueued.")
	tb.says("#finished", "completed")
	tb.says("#finished", "echo")
}

func TestTheKeyboardIsEnough(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	w := s.start("active")
	tb := open(t, w.url("/"), desktop)
	tb.says("#band", "Serving production")
	for range 30 {
		tb.do(chromedp.KeyEvent("\t"))
		if ask[string](tb, "document.activeElement.innerText") == "Enqueue a dummy job" {
			tb.do(chromedp.KeyEvent("\r"))
			tb.says("#notice", "Job 1 is enqueued.")
			tb.until(`document.activeElement.innerText === "Enqueue a dummy job"`) // still, though the page moves
			return
		}
	}
	t.Error("the button cannot be reached")
}

func TestWithoutScriptThePageIsReadAndItsButtonWorks(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	w := s.start("active")
	tb := open(t, "about:blank", desktop)
	_, err := chromedp.Call(tb.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	tb.must(err)
	tb.do(chromedp.Navigate(w.url("/")))
	tb.says("#band", "Serving production")
	tb.says("#workers", "ago")
	tb.click(`form[action="/dummy"] button`)
	tb.until(`location.pathname === "/jobs/1"`)
}

func TestAStreamComesBackAfterARestartOfTheWorker(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	w := s.start("active")
	tb := open(t, w.url("/"), desktop)
	tb.says("#band", "Serving production")
	tb.mark()
	s.enqueue(store.NewJob{Kind: "echo"})
	tb.untilCompleted(1)
	w.end()
	tb.says(".stream", "Not connected")
	w.run()
	tb.until(`!document.querySelector(".stream").textContent`)
	tb.untilCompleted(0) // by the process that began
	tb.says("#band", "Serving production")
	tb.same()
}

// jobsAtOnce is what finishes in ten seconds while people click.
const jobsAtOnce, forSeconds = 10_000, 10

// slowClick is many times what a click takes on a machine that does nothing else.
const slowClick = 2 * time.Second

func TestClicksAreAnsweredWhileTenThousandJobsFinish(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	w := s.start("active")
	tb := open(t, w.url("/"), desktop)
	tb.says("#band", "Serving production")
	took := tb.clickWhile(s)
	median := took[len(took)/2]
	t.Logf("%d clicks: answered after %s at the median, %s at most", len(took), median, took[len(took)-1])
	if median > slowClick {
		t.Errorf("clicks were answered after %s at the median", median)
	}
	tb.untilCompleted(jobsAtOnce + len(took))
	if shift := ask[float64](tb, "window.shifted"); shift > 0.1 { // "good", as web.dev/articles/cls has it
		t.Errorf("the layout shifted by %.3f", shift)
	}
}

// clickWhile enqueues the jobs over the seconds, and clicks at the dummy button
// meanwhile. It returns how long each answer took, sorted.
func (tb *tab) clickWhile(s *stage) (took []time.Duration) {
	tb.t.Helper()
	ask[bool](tb, `window.shifted = 0, new PerformanceObserver((list) => {
		for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifted += entry.value;
	}).observe({ type: "layout-shift" }), true`)
	produced := make(chan error, 1)
	go func() { produced <- s.produce(tb.ctx) }()
	for {
		select {
		case err := <-produced:
			tb.must(err)
			slices.Sort(took)
			return took
		default:
			took = append(took, tb.clickTime())
		}
	}
}

// produce enqueues the jobs, a tenth of a second's at a time.
func (s *stage) produce(ctx context.Context) error {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	const batch = jobsAtOnce / forSeconds / 10
	for range forSeconds * 10 {
		if _, err := s.jobs.EnqueueMany(ctx, slices.Repeat([]store.NewJob{{Kind: "echo"}}, batch)); err != nil {
			return err
		}
		<-ticker.C
	}
	return nil
}

// clickTime clicks at the dummy button and says how long the page took to say
// that the job is enqueued.
func (tb *tab) clickTime() time.Duration {
	tb.t.Helper()
	ctx, cancel := context.WithTimeout(tb.ctx, patience)
	defer cancel()
	const script = `new Promise((answered) => {
		const notice = document.getElementById("notice");
		notice.textContent = "";
		const begun = performance.now();
		new MutationObserver((_, observer) => {
			if (!notice.textContent) return;
			observer.disconnect();
			answered(notice.className === "good" ? performance.now() - begun : -1);
		}).observe(notice, { childList: true, characterData: true, subtree: true });
		document.querySelector('form[action="/dummy"] button').click();
	})`
	milliseconds, err := chromedp.Run(ctx, chromedp.Evaluate[float64](script, chromedp.EvalAwaitPromise))
	tb.must(err)
	if milliseconds < 0 {
		tb.t.Fatalf("the click was refused:\n%s", tb.words())
	}
	return time.Duration(milliseconds * float64(time.Millisecond))
}

// untilCompleted waits until the page says that so many jobs are completed.
func (tb *tab) untilCompleted(jobs int) {
	tb.t.Helper()
	tb.until(fmt.Sprintf(`document.querySelector(".figure dd").textContent.replaceAll(",", "") === "%d"`, jobs))
}

// mark marks the page, and same sees that it was not loaded anew since.
func (tb *tab) mark() { tb.t.Helper(); ask[bool](tb, "window.same = true") }

func (tb *tab) same() {
	tb.t.Helper()
	if !ask[bool](tb, "window.same === true") {
		tb.t.Error("the page was loaded anew")
	}
}
