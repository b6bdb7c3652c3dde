package web

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// connections are those of a server, of which there are no more than a limit.
// Whoever opens many cannot keep others out, such as a kubelet's probe: for a new
// one, the one is closed whose request has been waited for longest.
type connections struct {
	limit int

	mu      sync.Mutex
	open    int
	waiting map[net.Conn]time.Time // for a request, or the rest of its head, since then
}

func newConnections(limit int) *connections {
	return &connections{limit: limit, waiting: map[net.Conn]time.Time{}}
}

// observe is a server's ConnState.
func (c *connections) observe(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew:
		c.open++
		c.waiting[conn] = time.Now()
		if c.open > c.limit {
			c.closeOldest()
		}
	case http.StateIdle:
		c.waiting[conn] = time.Now()
	case http.StateClosed, http.StateHijacked:
		c.open--
		delete(c.waiting, conn)
	}
}

// closeOldest closes the connection that has waited longest: the new one where
// all others have their request. That it is closed the server says to observe.
func (c *connections) closeOldest() {
	var oldest net.Conn
	for conn, since := range c.waiting {
		if oldest == nil || since.Before(c.waiting[oldest]) {
			oldest = conn
		}
	}
	delete(c.waiting, oldest)
	_ = oldest.Close() // its reader finds out
}

type connKey struct{}

// context is a server's ConnContext.
func (c *connections) context(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conn)
}

// handler notes that a connection has its request.
func (c *connections) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if conn, ok := r.Context().Value(connKey{}).(net.Conn); ok {
			c.mu.Lock()
			delete(c.waiting, conn)
			c.mu.Unlock()
		}
		next.ServeHTTP(w, r)
	})
}
