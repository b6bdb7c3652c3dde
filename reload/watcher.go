package reload

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync/atomic"
	"time"
)

// Timing of a Watcher. Tests have their own; nobody configures it.
const (
	// settle is the shortest time between two reads for the sake of events:
	// the first acts at once, those that follow it closely act together.
	settle = 50 * time.Millisecond
	// backstop is the longest time between two reads, for the change that no
	// event told of.
	backstop = 2 * time.Second
)

// Watcher follows the pod files and the DSN files, and publishes a Snapshot
// whenever what they ask for changes.
type Watcher struct {
	cfg      Config
	log      *slog.Logger
	out      chan Snapshot
	health   atomic.Pointer[Health]
	settle   time.Duration
	backstop time.Duration

	// The rest belongs to Run.
	hints     *hints
	pod       memory
	dsns      *dsnFiles
	calm      time.Time // from when on an event acts at once
	published bool
	last      Snapshot // published last
	seen      Snapshot // the last one that a receiver is known to have
	taken     bool     // whether a receiver is known to have one
	logged    string   // the trouble that was logged last, "" if it is over
}

// Health is how well a Watcher can see.
type Health struct {
	// ReadAt is when the pod files were last read well, zero before that.
	ReadAt time.Time `json:"read_at"`
	// Rearms counts how often a directory had to be watched anew.
	Rearms int64 `json:"rearms"`
	// Watching says whether every directory is watched. If not, changes are
	// seen when the files are read again every two seconds.
	Watching bool `json:"watching"`
	// Err is what is wrong with the files or their watch, "" if nothing is.
	Err string `json:"error,omitempty"`
	// Labels are the pod's labels as last read: a copy.
	Labels map[string]string `json:"labels,omitempty"`
}

// NewWatcher makes a Watcher of what cfg names. It reads nothing: Run does.
func NewWatcher(cfg Config, log *slog.Logger) (*Watcher, error) {
	if log == nil {
		return nil, errors.New("new watcher: a logger is needed; slog.New(slog.DiscardHandler) drops everything")
	}
	if cfg.Podinfo.Role == "" && (cfg.Podinfo.Dir == "" || cfg.Podinfo.RoleLabel == "") {
		return nil, errors.New("new watcher: podinfo.dir and podinfo.role_label, or podinfo.role, are needed")
	}
	w := &Watcher{
		cfg:      cfg,
		log:      log,
		out:      make(chan Snapshot, 1),
		settle:   settle,
		backstop: backstop,
		pod:      memory{grace: cfg.Podinfo.Grace},
		dsns:     newDSNFiles(cfg.Targets),
	}
	w.hints = newHints(cfg.watched())
	w.health.Store(&Health{})
	return w, nil
}

// Snapshots is where Run publishes: the first snapshot always, then each that
// differs from the one before. It holds one; one that nobody has taken yet
// makes room for the next. It is never closed.
func (w *Watcher) Snapshots() <-chan Snapshot { return w.out }

// Health is how well the Watcher sees just now.
func (w *Watcher) Health() Health {
	h := *w.health.Load()
	h.Labels = maps.Clone(h.Labels)
	return h
}

// Format shows no more of a Watcher than its name: fmt would print the
// secrets in its unexported fields.
func (w *Watcher) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, "reload.Watcher") }

// Run reads, publishes and watches until ctx ends, and then returns nil. It
// runs once.
func (w *Watcher) Run(ctx context.Context) error {
	for {
		// In this order: a change before the watch is there is read, one after it is told of.
		w.hints.arm(time.Now())
		w.refresh(time.Now())
		if !w.wait(ctx) {
			if err := w.hints.close(); err != nil {
				w.log.Warn("close file watch", "error", err)
			}
			return nil
		}
	}
}

// wait returns true when it is time to read again, false when ctx ended.
func (w *Watcher) wait(ctx context.Context) bool {
	now := time.Now()
	timer := time.NewTimer(w.next(now).Sub(now))
	defer timer.Stop()
	for coalescing := false; ; {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			if coalescing {
				w.calm = time.Now().Add(w.settle)
			}
			return true
		case err, ok := <-w.hints.errors():
			if !ok {
				err = errors.New("it ended")
			}
			w.hints.broke(time.Now(), err)
			return true
		case ev := <-w.hints.events():
			if !w.hints.take(ev) || coalescing {
				continue
			}
			now := time.Now()
			if !now.Before(w.calm) {
				w.calm = now.Add(w.settle)
				return true
			}
			coalescing = true
			timer.Reset(w.calm.Sub(now))
		}
	}
}

// next is when to read again if nothing happens.
func (w *Watcher) next(now time.Time) time.Time {
	next := now.Add(w.backstop)
	for _, t := range []time.Time{w.hints.retryAt, w.pod.turns(now)} {
		if !t.IsZero() && t.Before(next) {
			next = t
		}
	}
	return next
}

// refresh reads everything, reports how it went and publishes what it asks
// for, in this order: who has a snapshot finds a Health that is no older.
func (w *Watcher) refresh(now time.Time) {
	v, err := w.cfg.readPod()
	w.pod.observe(now, v, err)
	w.dsns.read()
	w.report()
	w.publish(w.cfg.snapshot(w.pod.view(now), w.dsns.get))
}

// publish sends s unless the receiver has it or is about to get it. One that
// nobody took is replaced.
func (w *Watcher) publish(s Snapshot) {
	if w.published && s == w.last {
		return
	}
	select {
	case <-w.out: // nobody saw the last one
	default:
		w.seen, w.taken = w.last, w.published
	}
	w.last, w.published = s, true
	if w.taken && s == w.seen {
		return // back to what the receiver has
	}
	w.out <- s // there is room: only this goroutine sends
	log := w.log.Info
	if s.Problem != "" {
		log = w.log.Warn
	}
	log("snapshot", "role", s.Role, "target", s.Target.Name, "schema", s.Target.Schema,
		"template_hash", s.TemplateHash, "problem", s.Problem, "unreadable", s.Unreadable)
}

// report makes health what it is now, and logs trouble when it changes.
func (w *Watcher) report() {
	trouble := ""
	if err := errors.Join(w.pod.err, w.dsns.err(), w.hints.err); err != nil {
		trouble = err.Error()
	}
	w.health.Store(&Health{
		ReadAt: w.pod.readAt, Rearms: w.hints.rearms, Watching: w.hints.err == nil,
		Err: trouble, Labels: w.pod.good.labels,
	})
	switch {
	case trouble == w.logged:
	case trouble == "":
		w.log.Info("files can be read and watched again")
	default:
		w.log.Warn("trouble with files", "error", trouble)
	}
	w.logged = trouble
}
