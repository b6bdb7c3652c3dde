package browser_test

import "testing"

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
	ask[bool](tb, "window.same = true")
	w.label("active")
	tb.says("#band", "Serving production")
	tb.until(`document.documentElement.dataset.tone === "blue" && document.title.startsWith("active")`)
	tb.says("#epochs", "preview")
	if !ask[bool](tb, "window.same === true") {
		t.Error("the page was loaded anew")
	}
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
