package worker

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/understudy-worker/understudy"
)

// needs are what has to work so that a job that is begun can be finished. While
// one of them that holds up claims fails, no more jobs are claimed.
type needs struct {
	met func() // called when claims are no longer held up

	mu      sync.Mutex
	failing map[string]failing // by what cannot be done
}

type failing struct {
	since time.Time
	err   error
	holds bool // claims
}

// fail notes that something cannot be done, and since when.
func (n *needs) fail(doing string, since time.Time, err error, holds bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if before, known := n.failing[doing]; known {
		since = before.since
	}
	n.failing[doing] = failing{since, err, holds}
}

// meet notes that something can be done again.
func (n *needs) meet(doing string) {
	n.mu.Lock()
	held := n.held()
	delete(n.failing, doing)
	freed := held && !n.held()
	n.mu.Unlock()
	if freed {
		n.met()
	}
}

// holdUp says whether claims are held up.
func (n *needs) holdUp() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.held()
}

func (n *needs) held() bool {
	for _, f := range n.failing {
		if f.holds {
			return true
		}
	}
	return false
}

// obstacles lists what cannot be done, the longest first.
func (n *needs) obstacles() []understudy.Obstacle {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []understudy.Obstacle
	for doing, f := range n.failing {
		all = append(all, understudy.Obstacle{Doing: doing, Since: f.since, Error: f.err.Error()})
	}
	slices.SortFunc(all, func(a, b understudy.Obstacle) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Doing, b.Doing))
	})
	return all
}

// errNoAnswer stands for a write of outcomes that is still under way.
var errNoAnswer = errors.New("the database has not answered yet")

// patience is how long something that a job needs may fail before people hear of
// it, and how long a write of outcomes may take before it counts as failing.
func patience(lease time.Duration) time.Duration { return lease / 6 }

// watchNeeds looks, as often as the lease is renewed, at what no call of the
// worker's own tells of: writes that take too long, and what handlers need.
func (w *Worker) watchNeeds(serving context.Context) {
	handlers := w.needing("have a session for handlers", true)
	for sleep(serving, jitter(w.options.Lease/renewals)) {
		w.recorder.overdue(time.Now().Add(-patience(w.options.Lease)))
		for w.options.Check != nil && serving.Err() == nil {
			err := w.check(serving)
			if err == nil {
				handlers.success()
				break
			}
			if serving.Err() == nil {
				handlers.pause(serving, err)
			}
		}
	}
}

// check asks whether what handlers need is there.
func (w *Worker) check(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, patience(w.options.Lease))
	defer cancel()
	return w.options.Check(limited)
}
