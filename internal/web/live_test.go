package web_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-worker/understudy/internal/web"
)

// show is a live page whose frames a test makes.
type show struct {
	*web.Live
	made  atomic.Int64
	frame func() web.Frame
}

// newShow starts a live page, until the test ends.
func newShow(t *testing.T, frame func() web.Frame) *show {
	t.Helper()
	s := &show{frame: frame}
	s.Live = web.NewLive(time.Second, slog.New(slog.DiscardHandler), func(context.Context) (web.Frame, error) {
		s.made.Add(1)
		return s.frame(), nil
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return s
}

// viewer reads a stream.
type viewer struct {
	t     *testing.T
	conn  net.Conn
	lines *bufio.Reader
}

// view opens a stream and reads its head.
func view(t *testing.T, h http.Handler) *viewer {
	t.Helper()
	conn := serve(t, h)
	if _, err := io.WriteString(conn, "GET /events HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	v := &viewer{t, conn, bufio.NewReader(conn)}
	for line := ""; line != "\r\n"; {
		line = v.line()
	}
	return v
}

func (v *viewer) line() string {
	v.t.Helper()
	line, err := v.lines.ReadString('\n')
	if err != nil {
		v.t.Fatalf("read the stream: %v", err)
	}
	return line
}

// next is the next event: its title and its parts.
func (v *viewer) next() (title string, parts [][2]string) {
	v.t.Helper()
	for {
		data, found := strings.CutPrefix(v.line(), "data: ")
		if !found {
			continue
		}
		var event struct {
			Title string
			Parts [][2]string
		}
		if err := json.Unmarshal([]byte(data), &event); err != nil {
			v.t.Fatal(err)
		}
		return event.Title, event.Parts
	}
}

func TestAStreamBeginsWithEverythingAndGoesOnWithWhatChanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		second := 0
		s := newShow(t, func() web.Frame {
			second++
			return web.Frame{Title: "t", Parts: []web.Part{{ID: "still", HTML: "<p>\n</p>"}, {ID: "moving", HTML: fmt.Sprint(second / 2)}}}
		})
		v := view(t, s)
		for _, want := range [][][2]string{
			{{"still", "<p>\n</p>"}, {"moving", "0"}},
			{{"moving", "1"}},
			{{"moving", "2"}}, // the frame between them was as the one before
		} {
			if _, got := v.next(); cmp.Diff(want, got) != "" {
				t.Errorf("got %q, want %q", got, want)
			}
		}
	})
}

func TestNothingIsMadeWhileNobodyLooks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShow(t, func() web.Frame { return web.Frame{} })
		time.Sleep(time.Hour)
		if n := s.made.Load(); n != 0 {
			t.Errorf("%d frames were made", n)
		}
		v := view(t, s)
		v.next()
		_ = v.conn.Close()
		time.Sleep(time.Minute)
		before := s.made.Load()
		time.Sleep(time.Hour)
		if n := s.made.Load() - before; n != 0 {
			t.Errorf("%d frames were made after the viewer had gone", n)
		}
	})
}

func TestAViewerThatComesLateSeesWhatIsNow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := newShow(t, func() web.Frame { return web.Frame{Title: time.Since(start).String()} })
		first := view(t, s)
		first.next()
		_ = first.conn.Close()
		time.Sleep(time.Hour)
		at := time.Since(start)
		if title, _ := view(t, s).next(); title != at.String() {
			t.Errorf("it was shown what was after %s, and came after %s", title, at)
		}
	})
}

func TestAWakeIsShownAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		title := "before"
		s := newShow(t, func() web.Frame { return web.Frame{Title: title} })
		v := view(t, s)
		v.next()
		synctest.Wait()
		title = "after"
		woken := time.Now()
		s.Wake()
		if got, _ := v.next(); got != "after" || time.Since(woken) != 0 {
			t.Errorf("got %q after %s", got, time.Since(woken))
		}
	})
}

func TestAViewerThatReadsNothingIsHungUpOnAndHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := 0
		s := newShow(t, func() web.Frame {
			n++
			return web.Frame{Title: fmt.Sprint(n), Parts: []web.Part{{ID: "large", HTML: strings.Repeat(fmt.Sprint(n), 1<<20)}}}
		})
		idle := view(t, s) // the pipe holds nothing back: the first write waits for a reader
		reader := view(t, s)
		for range 5 {
			asked := time.Now()
			reader.next()
			if took := time.Since(asked); took > 2*time.Second {
				t.Errorf("it was held up for %s", took)
			}
		}
		_ = reader.conn.Close()
		time.Sleep(time.Minute)
		if s.Watched() {
			t.Error("the one that reads nothing still counts as a viewer")
		}
		if _, err := io.Copy(io.Discard, idle.conn); err != nil {
			t.Error(err)
		}
	})
}

func TestASlowViewerSkipsWhatIsOutOfDate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		s := newShow(t, func() web.Frame { return web.Frame{Title: fmt.Sprint(n.Add(1))} })
		v := view(t, s)
		v.next()
		time.Sleep(5500 * time.Millisecond)
		v.next() // was on its way
		if title, _ := v.next(); title != fmt.Sprint(n.Load()) {
			t.Errorf("got frame %s, the last is %d", title, n.Load())
		}
	})
}

func TestStreamsOutliveTheServersTimeoutsAndAreNeverSilentForLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShow(t, func() web.Frame { return web.Frame{Title: "the same"} })
		v := view(t, s)
		v.next()
		for range 20 {
			since := time.Now()
			v.line()
			v.line()
			if silence := time.Since(since); silence > 15*time.Second {
				t.Fatalf("nothing came for %s", silence)
			}
		}
	})
}

func TestStreamsEndWithTheirPage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		live := web.NewLive(time.Second, slog.New(slog.DiscardHandler), func(context.Context) (web.Frame, error) { return web.Frame{}, nil })
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			live.Run(ctx)
		}()
		v := view(t, live)
		v.next()
		cancel()
		<-ended
		if _, err := io.Copy(io.Discard, v.lines); err != nil {
			t.Error(err)
		}
	})
}

func TestAStreamEndsWhenItsTokenIsRotated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShow(t, func() web.Frame { return web.Frame{} })
		var now atomic.Value
		now.Store("old")
		h := web.New(web.Options{
			Routes: []web.Route{{Method: "GET", Path: "/events", Serve: s.ServeHTTP}},
			Token:  func() (string, error) { return now.Load().(string), nil },
		})
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			ask(h, get("/events"), "Authorization", "Bearer old")
		}()
		time.Sleep(time.Minute)
		now.Store("new")
		rotated := time.Now()
		<-ended
		if took := time.Since(rotated); took > 15*time.Second {
			t.Errorf("it went on for %s", took)
		}
	})
}

func TestAHeadOfAStreamEnds(t *testing.T) {
	t.Parallel()
	s := newShow(t, func() web.Frame { return web.Frame{} })
	got := ask(s, httptest.NewRequest("HEAD", "/events", nil))
	if got.code != 200 || got.header.Get("Content-Type") != "text/event-stream" || s.Watched() {
		t.Errorf("got %d %v, watched %v", got.code, got.header, s.Watched())
	}
}

func TestTooManyViewersAreRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShow(t, func() web.Frame { return web.Frame{} })
		ctx, cancel := context.WithCancel(t.Context())
		for range 1000 {
			go ask(s, get("/events").WithContext(ctx))
		}
		synctest.Wait()
		if got := ask(s, get("/events")); got.code != 503 || got.header.Get("Retry-After") != "5" {
			t.Errorf("got %d %v", got.code, got.header)
		}
		cancel()
		synctest.Wait()
		if s.Watched() {
			t.Error("viewers are left")
		}
	})
}
