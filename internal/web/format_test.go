package web_test

import (
	"errors"
	"testing"
	"time"

	"github.com/understudy-worker/understudy/internal/web"
)

var errTest = errors.New("connect to db.internal: no route")

func TestFiguresAreWrittenToBeRead(t *testing.T) {
	t.Parallel()
	for want, got := range map[string]string{
		"0 s": web.Span(900 * time.Millisecond), "59 s": web.Span(59*time.Second + 999*time.Millisecond), "1 min": web.Span(119 * time.Second),
		"2 h": web.Span(2*time.Hour + 59*time.Minute), "3 d": web.Span(80 * time.Hour), "-5 s": web.Span(-5 * time.Second),
		"0.3 ms": web.Took(320 * time.Microsecond), "15 ms": web.Took(15 * time.Millisecond), "1.5 s": web.Took(1480 * time.Millisecond),
		"2 min": web.Took(2 * time.Minute), "0 ms": web.Took(-time.Second), "<0.1 ms": web.Took(40 * time.Microsecond), "1": web.Rate(1),
		"0": web.Rate(0), "0.2": web.Rate(0.2), "12": web.Rate(12.4), "5,000": web.Rate(5000),
		"2026-01-02 02:04:05.006 UTC": web.Moment(time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.FixedZone("", 3600))),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	for n, want := range map[any]string{0: "0", 999: "999", 1000: "1,000", int64(-1234567): "-1,234,567"} {
		if got, err := web.Count(n); got != want || err != nil {
			t.Errorf("%v: got %q, error %v", n, got, err)
		}
	}
	if got, err := web.Count("many"); err == nil {
		t.Errorf("no number: %q", got)
	}
}

func TestPartsOfALivePageDoNotChangeWithTimeAlone(t *testing.T) {
	t.Parallel()
	pages := web.NewPages(testdataFiles, nil)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	got, err := pages.Part("part", map[string]any{"Text": "<b>&", "At": at})
	want := `<p>&lt;b&gt;&amp;</p><time class="ago" datetime="2026-01-02T03:04:05.000Z" title="2026-01-02 03:04:05.000 UTC"></time>` + ""
	if err != nil || got != want {
		t.Errorf("got %s, error %v", got, err)
	}
}

func TestAPlotSaysInWordsWhatItShows(t *testing.T) {
	t.Parallel()
	plot := web.Plot{Span: "5 minutes", Lines: []web.Line{
		{Name: "completed", Class: "good", Values: []float64{0, 20, 10}}, {Name: "due", Class: "depth", Values: []float64{-1, 4, -1}},
	}}
	if got, want := plot.Words(), "completed: now 10, due: now not known; at most 20 in the last 5 minutes"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	paths := plot.Paths()
	if got, want := paths[0].Stroke, "M0 59.0L150 1.0L300 30.0"; got != want {
		t.Errorf("the line is %q, want %q", got, want)
	}
	if got, want := paths[1].Area, "M150 47.4L150 60L150 60Z"; got != want {
		t.Errorf("the area of a value between gaps is %q, want %q", got, want)
	}
}
