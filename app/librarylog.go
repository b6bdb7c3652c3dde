package app

import (
	"context"
	"log"
	"log/slog"
	"strings"
	"sync/atomic"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
)

// libraryLog takes what libraries print past the program's log, and logs it: the
// lines of the standard log package, where net/http complains of the servers that
// handlers ask, and OpenTelemetry's errors.
type libraryLog struct{ log atomic.Pointer[slog.Logger] }

// takeLibraryLog makes the process's libraries print into the log. What they say
// is the process's, not one run's, so only a program that is its process may.
func takeLibraryLog(first *slog.Logger) *libraryLog {
	l := &libraryLog{}
	l.log.Store(first)
	log.SetFlags(0)
	log.SetPrefix("")
	log.SetOutput(l)
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { l.say("OpenTelemetry: " + err.Error()) }))
	otel.SetLogger(logr.FromSlogHandler(otelLog{l}))
	return l
}

// use takes another logger. nil takes none: the libraries are somebody else's.
func (l *libraryLog) use(log *slog.Logger) {
	if l != nil {
		l.log.Store(log)
	}
}

// Write takes one entry of the standard log package, which may have several lines.
func (l *libraryLog) Write(line []byte) (int, error) {
	l.say(string(line))
	return len(line), nil
}

func (l *libraryLog) say(text string) {
	l.log.Load().Warn("a library complains", "text", withoutValues(text))
}

// withoutValues cuts a text off where it quotes something: a piece of an answer
// or of a header, which may be secret.
func withoutValues(text string) string {
	text = strings.TrimSpace(text)
	if quote := strings.IndexAny(text, "\"`"); quote >= 0 {
		return text[:quote] + "…"
	}
	return text
}

// otelLog is OpenTelemetry's own log, of which only errors are kept, without
// their values.
type otelLog struct{ to *libraryLog }

func (otelLog) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelError }

func (o otelLog) Handle(_ context.Context, r slog.Record) error {
	text := "OpenTelemetry: " + r.Message
	r.Attrs(func(a slog.Attr) bool {
		if err, is := a.Value.Any().(error); is {
			text += ": " + err.Error()
		}
		return true
	})
	o.to.say(text)
	return nil
}

func (o otelLog) WithAttrs([]slog.Attr) slog.Handler { return o }
func (o otelLog) WithGroup(string) slog.Handler      { return o }
