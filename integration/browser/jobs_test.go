package browser_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/store"
)

func TestAJobIsFoundAndRetriedAfterAConfirmation(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	w := s.start("active")
	id := s.enqueue(store.NewJob{Kind: "echo", Args: map[string]string{"to": "Ada"}, ScheduledAt: time.Now().Add(time.Hour)})
	other := s.enqueue(store.NewJob{Kind: "nobodys"})
	tb := open(t, w.url("/jobs"), desktop)
	tb.says("main", "nobodys")
	tb.until(`document.getElementById("text").value = "ada"`)
	tb.click(`form[action="/jobs"] button`)
	tb.until(`location.search.includes("text=ada") && document.getElementById("text").value === "ada"`)
	tb.until(fmt.Sprintf(`!document.querySelector("a[href='/jobs/%d']")`, other))
	tb.click(fmt.Sprintf(`a[href="/jobs/%d"]`, id))
	tb.says("h1", "scheduled")
	tb.click(opens("retry"))
	tb.says("#retry", "runs now, before it is due, in production")
	tb.click(`#retry button[type="button"]`)
	tb.until(`!document.querySelector(":popover-open")`)
	tb.click(opens("retry"))
	tb.click(`#retry form button.main`)
	tb.says("h1", "completed")
	tb.until(`document.documentElement.dataset.refresh === "0" || !document.documentElement.dataset.refresh`)
}

func TestACompletedJobRunsAgainAfterTwoConfirmations(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	w := s.start("active")
	id := s.enqueue(store.NewJob{Kind: "echo"})
	path := w.url(fmt.Sprintf("/jobs/%d", id))
	for _, how := range []look{desktop, phone} {
		tb := open(t, path, how)
		tb.says("h1", "completed")
		tb.click(opens("retry"))
		tb.says("#retry", "what it did is done once more")
		tb.usable()
		tb.click(opens("retry-completed"))
		tb.says("#retry-completed", "a second time")
		tb.usable()
		tb.click(`#retry-completed button[type="button"]`)
		tb.until(`document.querySelectorAll(":popover-open").length === 1`)
		tb.click(`#retry > p > button[popovertargetaction="hide"]`)
		tb.until(`!document.querySelector(":popover-open")`)
	}
	if job, err := s.jobs.Job(t.Context(), id); err != nil || job.Attempt != 1 {
		t.Errorf("the job ran %d times though nobody confirmed twice, error %v", job.Attempt, err)
	}
	tb := open(t, path, desktop)
	tb.click(opens("retry"))
	tb.click(opens("retry-completed"))
	tb.click(`#retry-completed form button.danger`)
	tb.says("h1", "completed")
	tb.says("main", "2 of ")
}

func TestThePageOfAJobFollowsItWithoutAReload(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	w := s.start("active")
	id := s.enqueue(store.NewJob{Kind: "sleep", Args: map[string]int{"seconds": 600}})
	tb := open(t, w.url(fmt.Sprintf("/jobs/%d", id)), desktop)
	tb.says("h1", "running")
	tb.mark()
	tb.click(opens("cancel"))
	tb.says("#cancel", "its handler is told to stop")
	ask[float64](tb, "window.opened = performance.now()")
	tb.until("performance.now() - window.opened > 5000") // the page would have been read anew twice
	if _, err := s.jobs.Cancel(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	tb.click(`#cancel button[type="button"]`)
	tb.says("h1", "cancelled")
	tb.same()
}

func TestThePagesOfJobsCanBeUsedByEverybodyOnEveryScreen(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	active, idle := s.start("active"), s.start("")
	failed := s.enqueue(store.NewJob{Kind: "fail", Args: map[string]string{"message": "the mailbox of somebody who never reads is full"}, MaxAttempts: 1})
	for range 60 {
		s.enqueue(store.NewJob{Kind: "nobodys", Args: map[string]string{"to": "somebody@with.a.long.address.example.com"}, Metadata: map[string]int{"n": 1}})
	}
	for _, how := range []look{desktop, phone} {
		tb := open(t, active.url("/jobs"), how)
		tb.says("main", "Older jobs")
		tb.usable()
		tb.visit(active.url("/jobs?state=discarded&text=nothing"))
		tb.says("main", "No job matches")
		tb.usable()
		tb.visit(active.url("/jobs?before=x"))
		tb.says("main", "use the number of a job")
		tb.usable()
		tb.visit(active.url(fmt.Sprintf("/jobs/%d", failed)))
		tb.says("h1", "discarded")
		tb.usable()
		tb.click(opens("retry"))
		tb.says("#retry", "runs again, now")
		tb.usable()
		tb.visit(active.url("/jobs/4711"))
		tb.says("h1", "No such job")
		tb.usable()
		tb.visit(idle.url("/jobs"))
		tb.says("h1", "No jobs here now")
		tb.usable()
	}
}

// opens selects the button that opens a confirmation.
func opens(name string) string {
	return fmt.Sprintf("button[popovertarget=%q]:not([popovertargetaction])", name)
}

func TestAJobIsCancelledAfterAConfirmation(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	w := s.start("active")
	id := s.enqueue(store.NewJob{Kind: "sleep", Args: map[string]int{"seconds": 600}})
	tb := open(t, w.url(fmt.Sprintf("/jobs/%d", id)), desktop)
	tb.says("h1", "running")
	tb.click(opens("cancel"))
	tb.click(`#cancel form button.danger`)
	tb.says("h1", "cancelled")
	if job, err := s.jobs.Job(t.Context(), id); err != nil || job.State != understudy.StateCancelled {
		t.Errorf("the job is %s, error %v", job.State, err)
	}
}

func TestMarkupInAJobIsTextOnEveryPage(t *testing.T) {
	t.Parallel()
	const markup = `</script></textarea><img src="/x" onerror="window.ran = true"><script>window.ran = true</script>`
	s := newStage(t)
	w := s.start("active")
	tb := open(t, w.url("/"), desktop)
	tb.says("#band", "Serving production")
	odd := s.enqueue(store.NewJob{Kind: markup, Args: map[string]string{markup: markup}, UniqueKey: markup, Metadata: map[string]string{"m": markup}})
	s.enqueue(store.NewJob{Kind: "fail", MaxAttempts: 1, Args: map[string]string{"message": markup}})
	tb.says("#failures", markup) // live
	for _, path := range []string{"/", "/jobs", fmt.Sprintf("/jobs/%d", odd)} {
		tb.visit(w.url(path))
		tb.says("main", markup)
		if ask[bool](tb, `Boolean(window.ran) || document.querySelectorAll("main img, main script").length > 0`) {
			t.Errorf("%s: the markup came to be", path)
		}
	}
}
