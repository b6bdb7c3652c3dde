package reload

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Bounds of the wait before a watch that broke, or that could not be set up,
// is tried again.
const (
	minBackoff = 50 * time.Millisecond
	maxBackoff = 2 * time.Second
)

// hints watches directories for changes of certain files, and keeps doing so:
// a watch that fails, overflows, or whose directory is removed or replaced is
// set up again. It promises nothing but hints: who reads the files reads them
// after every arm, and now and then without a hint.
//
// One goroutine uses it, from the first arm to close.
type hints struct {
	dirs   []string        // cleaned
	names  map[string]bool // of the files that matter, in any of the directories
	create func() (*fsnotify.Watcher, error)

	fsn     *fsnotify.Watcher      // nil before the first arm and while broken
	armed   map[string]os.FileInfo // what each directory was when it was armed
	started bool                   // whether arm was called before
	rearms  int64
	err     error     // why a directory is not watched, nil if all are
	retryAt time.Time // when to try again, zero if there is no need
	backoff time.Duration
	brokeAt time.Time
}

func newHints(dirs, names []string) *hints {
	h := &hints{names: map[string]bool{dataLink: true}, create: fsnotify.NewWatcher}
	for _, d := range dirs {
		if filepath.Base(d) == dataLink { // a path through ..data: that link is what moves
			d = filepath.Dir(d)
		}
		if d = filepath.Clean(d); !slices.Contains(h.dirs, d) {
			h.dirs = append(h.dirs, d)
		}
	}
	for _, n := range names {
		h.names[n] = true
	}
	return h
}

// arm sees to it that every directory is watched as it is now, if it is time to.
func (h *hints) arm(now time.Time) {
	if now.Before(h.retryAt) {
		return
	}
	h.err, h.retryAt = h.armAll(), time.Time{}
	h.started = true
	if h.err != nil {
		h.retry(now)
	}
}

func (h *hints) armAll() error {
	if len(h.dirs) == 0 {
		return nil
	}
	if h.fsn == nil {
		fsn, err := h.create()
		if err != nil {
			return fmt.Errorf("watch files: %w", err)
		}
		h.fsn, h.armed = fsn, map[string]os.FileInfo{}
	}
	var errs []error
	for _, dir := range h.dirs {
		if err := h.armDir(dir); err != nil {
			errs = append(errs, fmt.Errorf("watch directory %q: %w", dir, cause(err)))
		}
	}
	return errors.Join(errs...)
}

// armDir watches dir unless what is there now is watched already.
func (h *hints) armDir(dir string) error {
	now, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if h.covers(now) {
		return nil
	}
	_ = h.fsn.Remove(dir) // an error says that it is not watched any more, which is why we are here
	if err := h.fsn.Add(dir); err != nil {
		return err
	}
	after, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !os.SameFile(now, after) {
		return errors.New("it was replaced while its watch was set up")
	}
	h.armed[dir] = now
	if h.started {
		h.rearms++
	}
	return nil
}

// covers says whether a directory is watched, under whatever path.
func (h *hints) covers(dir os.FileInfo) bool {
	return slices.ContainsFunc(h.fsn.WatchList(), func(path string) bool {
		return os.SameFile(h.armed[path], dir)
	})
}

// broke gives the watch up after an error of it; arm sets up a new one.
func (h *hints) broke(now time.Time, err error) {
	h.err = errors.Join(fmt.Errorf("watch files: %w", err), h.close())
	h.retry(now)
}

// retry lets the next arm wait, longer each time until there was some peace.
func (h *hints) retry(now time.Time) {
	if now.Sub(h.brokeAt) > 2*maxBackoff {
		h.backoff = 0
	}
	h.backoff = min(max(2*h.backoff, minBackoff), maxBackoff)
	h.brokeAt, h.retryAt = now, now.Add(h.backoff)
}

// close ends the watch and waits for its goroutine.
func (h *hints) close() error {
	if h.fsn == nil {
		return nil
	}
	err := h.fsn.Close()
	h.fsn = nil
	return err
}

// events is where hints arrive; nil, which blocks, while there is no watch.
func (h *hints) events() <-chan fsnotify.Event {
	if h.fsn == nil {
		return nil
	}
	return h.fsn.Events
}

// errors is where the watch says that it lost track.
func (h *hints) errors() <-chan error {
	if h.fsn == nil {
		return nil
	}
	return h.fsn.Errors
}

// take takes an event and says whether it can be of a change that a read would
// see. A kubelet's preparations are none: only the rename onto ..data is. What
// happens to a directory itself is one, and lets the next arm act at once.
func (h *hints) take(ev fsnotify.Event) bool {
	if slices.Contains(h.dirs, ev.Name) {
		h.retryAt = time.Time{}
		return true
	}
	return h.names[filepath.Base(ev.Name)]
}
