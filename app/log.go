package app

import (
	"io"
	"log/slog"

	"github.com/understudy-worker/understudy/reload"
)

// newLogger logs as it is configured, and from now on what libraries print too.
func (a *application) newLogger(w io.Writer, config reload.Log) *slog.Logger {
	log := newLogger(w, config)
	a.libraries.use(log)
	return log
}

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

// loggedError is an error that the log has.
type loggedError struct{ err error }

func (e *loggedError) Error() string { return e.err.Error() }
func (e *loggedError) Unwrap() error { return e.err }

// logged logs the error that ends a program which has a log: its last line is
// one of the log too.
func logged(log *slog.Logger, err error) error {
	if err == nil {
		return nil
	}
	log.Error("the process has to end", "err", err)
	return &loggedError{err}
}
