package web

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

const (
	// maxViewers is how many streams a site keeps open: each has a connection.
	maxViewers = 1000
	// writeTimeout bounds each write to a viewer, who may have stopped reading.
	writeTimeout = 10 * time.Second
	// heartbeat is how long a stream is silent at most, so that whoever stands
	// between does not take it for dead, and a viewer who left is noticed.
	heartbeat = 15 * time.Second
)

// Live keeps pages up to date that are open: it makes their parts anew while
// somebody looks, and sends what changed, made once for all of them, as
// server-sent events. Make it with NewLive.
type Live struct {
	make  func(ctx context.Context) (Frame, error)
	every time.Duration
	log   *slog.Logger
	wake  chan struct{}
	ended chan struct{}

	mu      sync.Mutex
	viewers int
	latest  *edition
}

// Frame is all that changes on a page, as of one moment.
type Frame struct {
	Title, Tone string
	Parts       []Part
}

// Part is what an element holds: the one with that id.
type Part struct{ ID, HTML string }

// NewLive returns what shows the frames that make makes, which is called as
// often as that, by one goroutine, and only while somebody looks. It starts
// nothing: Run does.
func NewLive(every time.Duration, log *slog.Logger, make func(ctx context.Context) (Frame, error)) *Live {
	return &Live{make: make, every: every, log: log, wake: newWake(), ended: newEnded(), latest: firstEdition()}
}

func newWake() chan struct{}  { return make(chan struct{}, 1) }
func newEnded() chan struct{} { return make(chan struct{}) }

// Run makes frames until ctx ends; then every stream ends. It is called once.
func (l *Live) Run(ctx context.Context) {
	defer close(l.ended)
	ticker := time.NewTicker(l.every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-l.wake:
		}
		if l.Watched() {
			l.publish(ctx)
		}
	}
}

// Wake makes the next frame now: something has happened.
func (l *Live) Wake() {
	select {
	case l.wake <- struct{}{}:
	default: // one is to be made already
	}
}

// Watched says whether somebody looks.
func (l *Live) Watched() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.viewers > 0
}

func (l *Live) publish(ctx context.Context) {
	frame, err := l.make(ctx)
	if err != nil {
		if ctx.Err() == nil {
			l.log.Error("a page that is open cannot be kept up to date", "err", err)
		}
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.latest
	l.latest = before.followedBy(frame)
	close(before.superseded)
}

// enter counts a viewer in, unless there are too many.
func (l *Live) enter() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.viewers >= maxViewers {
		return false
	}
	l.viewers++
	return true
}

func (l *Live) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.viewers--
}

func (l *Live) current() *edition {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.latest
}

// ServeHTTP is a stream: first all parts, and then those that change. Whoever
// reads slowly skips what is out of date, and whoever does not read at all is
// hung up on.
func (l *Live) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead { // a stream has no end that it could be without
		w.Header().Set("Content-Type", "text/event-stream")
		return
	}
	if !l.enter() {
		w.Header().Set("Retry-After", "5")
		http.Error(w, "too many pages are open: close some", http.StatusServiceUnavailable)
		return
	}
	defer l.leave()
	s := &stream{ResponseController: http.NewResponseController(w), w: w}
	if err := s.open(); err != nil {
		return
	}
	seen := l.current()
	if time.Since(seen.made) < 2*l.every {
		if s.send(seen.since(0)) != nil {
			return
		}
	} else {
		seen = &edition{superseded: seen.superseded} // nothing of it counts
		l.Wake()
	}
	l.follow(r.Context(), s, seen)
}

// follow sends what comes after an edition, until either side has enough.
func (l *Live) follow(ctx context.Context, s *stream, seen *edition) {
	pulse := time.NewTicker(heartbeat)
	defer pulse.Stop()
	for {
		event := silence
		select {
		case <-ctx.Done():
			return
		case <-l.ended:
			return
		case <-seen.superseded:
			next := l.current()
			event, seen = next.since(seen.number), next
		case <-pulse.C:
			if !stillAdmitted(ctx) {
				return
			}
		}
		if err := s.send(event); err != nil {
			return
		}
	}
}

// stream writes events to one viewer.
type stream struct {
	*http.ResponseController
	w http.ResponseWriter
}

// silence is a comment: viewers do not see it.
var silence = []byte(":\n\n")

// open begins the stream. It has no end that a server's timeouts could know.
func (s *stream) open() error {
	if err := s.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	h := s.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // nginx passes each event on at once
	s.w.WriteHeader(http.StatusOK)
	return s.send([]byte("retry: 1000\n\n"))
}

func (s *stream) send(event []byte) error {
	if len(event) == 0 {
		return nil
	}
	if err := s.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := s.w.Write(event); err != nil {
		return err
	}
	return s.Flush()
}
