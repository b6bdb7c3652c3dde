package app

import (
	"io"
	"log/slog"

	"github.com/understudy-worker/understudy/reload"
)

// newLogger logs as it is configured.
func newLogger(w io.Writer, config reload.Log) *slog.Logger {
	var level slog.Level
	// Load has checked it: an unknown level cannot come here.
	_ = level.UnmarshalText([]byte(config.Level))
	options := &slog.HandlerOptions{Level: level}
	if config.Format == "text" {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}
