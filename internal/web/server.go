package web

import (
	"log/slog"
	"net/http"
	"time"
)

// Server makes a server for the handler that no slow client can wear out. Its
// address and its life are the caller's. An answer has 30 seconds: a handler
// that streams sets its own deadline through http.ResponseController.
func Server(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}
