package reload

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
)

// TestWatchThatBreaksIsSetUpAnew breaks the watch as an overflow of the
// kernel's queue does, and as any other error.
func TestWatchThatBreaksIsSetUpAnew(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]error{"overflow": fsnotify.ErrEventOverflow, "another error": syscall.EIO} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, cfg := volume(t, role("active"))
			w := watcher(t, cfg)
			made := make(chan *fsnotify.Watcher, 10)
			w.hints.create = func() (*fsnotify.Watcher, error) {
				fsn, err := fsnotify.NewWatcher()
				made <- fsn
				return fsn, err
			}
			run(t, w)
			next(t, w)
			for i := range 3 {
				(<-made).Errors <- broken
				eventually(t, "the watch is there again", func() bool {
					h := w.Health()
					return h.Rearms == int64(i+1) && h.Watching && h.Err == ""
				})
				want := fmt.Sprintf("r%d", i)
				setLabels(t, v, role(want))
				if got := next(t, w); got.Role != want {
					t.Errorf("snapshot = %+v, want role %q", got, want)
				}
			}
		})
	}
}

func TestChangeDuringABrokenWatchIsRead(t *testing.T) {
	t.Parallel()
	v, cfg := volume(t, role("active"))
	w := watcher(t, cfg)
	fsn := make(chan *fsnotify.Watcher, 1)
	var refuse atomic.Bool
	w.hints.create = func() (*fsnotify.Watcher, error) {
		if refuse.Load() {
			return nil, syscall.EMFILE
		}
		made, err := fsnotify.NewWatcher()
		select {
		case fsn <- made:
		default:
		}
		return made, err
	}
	run(t, w)
	next(t, w)
	refuse.Store(true)
	(<-fsn).Errors <- fsnotify.ErrEventOverflow
	eventually(t, "the watch is gone", func() bool {
		h := w.Health()
		return !h.Watching && strings.Contains(h.Err, "too many open files")
	})
	setLabels(t, v, role("preview"))
	if got := next(t, w); got.Role != "preview" { // read when the watch is tried again
		t.Errorf("snapshot = %+v", got)
	}
	refuse.Store(false)
	eventually(t, "the watch is there again", func() bool { h := w.Health(); return h.Watching && h.Err == "" })
}

func TestBackoffGrowsAndIsBounded(t *testing.T) {
	t.Parallel()
	h := newHints([]string{"/nowhere"}, nil)
	h.create = func() (*fsnotify.Watcher, error) { return nil, errors.New("no") }
	now := time.Now()
	var waits []time.Duration
	for range 8 {
		h.arm(now)
		waits = append(waits, h.retryAt.Sub(now))
		now = h.retryAt
	}
	want := []time.Duration{50, 100, 200, 400, 800, 1600, 2000, 2000}
	for i, w := range waits {
		if w != want[i]*time.Millisecond {
			t.Fatalf("waits %v, want %v ms", waits, want)
		}
	}
	h.arm(now.Add(-time.Millisecond)) // too early: nothing happens
	if !h.retryAt.Equal(now) {
		t.Errorf("tried before its time: next at %s, want %s", h.retryAt, now)
	}
	h.arm(now.Add(time.Minute)) // after some peace it starts anew
	if got := h.retryAt.Sub(now.Add(time.Minute)); got != minBackoff {
		t.Errorf("waits %s after a minute of peace, want %s", got, minBackoff)
	}
}

func TestOnlyEventsOfFilesThatMatterAreTaken(t *testing.T) {
	t.Parallel()
	h := newHints([]string{"/etc/podinfo/", "/secrets/a/..data", "/secrets/a"}, []string{"labels", "dsn"})
	if len(h.dirs) != 2 {
		t.Errorf("directories %q, want each once, and ..data's own", h.dirs)
	}
	for name, want := range map[string]bool{
		"/etc/podinfo/..data": true, "/etc/podinfo/labels": true, "/secrets/a/dsn": true, "/etc/podinfo": true,
		"/etc/podinfo/..data_tmp": false, "/etc/podinfo/..2026_01_02_03_04_05.123": false, "/etc/podinfo/other": false,
	} {
		if got := h.take(fsnotify.Event{Name: name, Op: fsnotify.Create}); got != want {
			t.Errorf("event of %s taken: %v, want %v", name, got, want)
		}
	}
	h.retryAt = time.Now().Add(time.Hour)
	h.take(fsnotify.Event{Name: "/etc/podinfo", Op: fsnotify.Remove})
	if !h.retryAt.IsZero() {
		t.Error("an event of a directory itself lets the next arm wait")
	}
}

func TestOneDirectoryUnderTwoPathsIsWatchedOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	if err := syscall.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	h := newHints([]string{dir, link}, nil)
	defer func() {
		if err := h.close(); err != nil {
			t.Error(err)
		}
	}()
	for range 3 {
		h.arm(time.Now())
	}
	if h.err != nil || h.rearms != 0 || len(h.fsn.WatchList()) != 1 {
		t.Errorf("error %v, %d rearms, watching %q", h.err, h.rearms, h.fsn.WatchList())
	}
}
