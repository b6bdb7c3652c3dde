package web

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	// wrongDelay is how long a wrong token waits for its answer.
	wrongDelay = 500 * time.Millisecond
	// maxWrong is how many wait at a time. More are not looked at any longer.
	maxWrong = 8
)

// brake slows down who tries tokens, whether in the login or as bearer tokens, to
// maxWrong in each wrongDelay. Right ones do not wait.
type brake struct {
	waiting  chan struct{}
	unlogged atomic.Int64 // turned away since the last line of the log
}

func newBrake() *brake { return &brake{waiting: make(chan struct{}, maxWrong)} }

// hold keeps a wrong token waiting; false where too many wait already.
func (b *brake) hold(ctx context.Context, log func(unlogged int64)) bool {
	select {
	case b.waiting <- struct{}{}:
	default:
		b.unlogged.Add(1)
		return false
	}
	defer func() { <-b.waiting }()
	log(b.unlogged.Swap(0))
	timer := time.NewTimer(wrongDelay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return true
}

// slowed says that a wrong token came, after a while; where there are too many it
// answers itself, and returns false.
func (s *site) slowed(w http.ResponseWriter, r *http.Request, what string) bool {
	held := s.brake.hold(r.Context(), func(unlogged int64) {
		s.Log.Warn(what, "from", r.RemoteAddr, "more_before", unlogged)
	})
	if !held {
		w.Header().Set("Retry-After", "1")
		Refuse(w, r, http.StatusTooManyRequests, "too many wrong tokens at a time: try again in a second")
	}
	return held
}
