package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// shutdownTimeout bounds how long open requests may keep a server that ends.
const shutdownTimeout = 2 * time.Second

// maxConns is how many connections are open at a time: more than may be viewers.
const maxConns = maxViewers + 500

// Serve answers on the listener, which it closes, until ctx ends. No slow client
// can wear it out, nor can many: an answer has 30 seconds, what streams sets a
// deadline of its own through http.ResponseController, and where there are too
// many connections, those go first that have been waiting longest for a request.
func Serve(ctx context.Context, listener net.Listener, h http.Handler, log *slog.Logger) error {
	conns := newConnections(maxConns)
	server := &http.Server{
		Handler:           conns.handler(h),
		ConnState:         conns.observe,
		ConnContext:       conns.context,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	stopped := make(chan error, 1)
	defer context.AfterFunc(ctx, func() { stopped <- stop(ctx, server) })()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve HTTP on %s: %w", listener.Addr(), err)
	}
	return <-stopped
}

// stop lets open requests end, for a moment.
func stop(ctx context.Context, server *http.Server) error {
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err := server.Shutdown(closing)
	if errors.Is(err, context.DeadlineExceeded) {
		err = nil // they did not
	}
	return errors.Join(err, server.Close())
}
