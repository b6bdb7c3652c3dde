package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"time"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/understudy-worker/understudy"
)

const (
	// tracerName is whose spans these are.
	tracerName = "github.com/understudy-worker/understudy"
	// flushTimeout bounds how long a stop waits for spans that are not sent yet.
	flushTimeout = 5 * time.Second
	// complaintInterval is how often the log hears of spans that cannot be sent.
	complaintInterval = time.Minute
)

// traces sends a span for each attempt, and for its handler's queries. nil is off:
// then nothing is wrapped, and nothing costs anything.
type traces struct {
	provider *sdktrace.TracerProvider
	exporter *calmExporter
	tracer   trace.Tracer
	log      *slog.Logger
}

// newTraces starts what the environment asks for. Its caller stops it.
func (a *application) newTraces(version string, log *slog.Logger) (*traces, error) {
	settings, err := readTraceSettings(a.Environ)
	if err != nil {
		return nil, &usageError{err}
	}
	if settings.exporter == exporterNone {
		return nil, nil
	}
	exporter, err := settings.open(a.Out)
	if err != nil {
		return nil, &usageError{fmt.Errorf("traces by OpenTelemetry's environment variables: %w", err)}
	}
	about, err := resource.New(context.Background(), resource.WithTelemetrySDK(), resource.WithAttributes(
		semconv.ServiceName("understudy"), semconv.ServiceVersion(version), semconv.ServiceInstanceID(podName(a.Environ)),
	), resource.WithFromEnv())
	if err != nil {
		return nil, &usageError{fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)}
	}
	t := &traces{exporter: newCalmExporter(exporter, log), log: log}
	t.provider = sdktrace.NewTracerProvider(sdktrace.WithBatcher(t.exporter), sdktrace.WithResource(about))
	t.tracer = t.provider.Tracer(tracerName, trace.WithInstrumentationVersion(version))
	log.Info("traces are on", "exporter", settings.exporter)
	return t, nil
}

// open makes the exporter. It does not connect.
func (s traceSettings) open(out io.Writer) (sdktrace.SpanExporter, error) {
	if s.exporter == exporterConsole {
		return stdouttrace.New(stdouttrace.WithWriter(out))
	}
	return otlptracehttp.New(context.Background(), otlptracehttp.WithEndpointURL(s.endpoint))
}

// queries traces what runs on a pool under a span: a handler's statements, and not
// the worker's own.
func (t *traces) queries() pgx.QueryTracer {
	if t == nil {
		return nil
	}
	return otelpgx.NewTracer(otelpgx.WithTracerProvider(t.provider), otelpgx.WithDisableAcquireTracer())
}

// handlers are these, each with a span around every attempt.
func (t *traces) handlers(all understudy.Handlers, place understudy.Place) understudy.Handlers {
	if t == nil {
		return all
	}
	traced, where := make(understudy.Handlers, len(all)), placeAttributes(place)
	for kind, handler := range all {
		traced[kind] = &tracedHandler{next: handler, tracer: t.tracer, place: where}
	}
	return traced
}

// stop sends what is not sent yet, for a moment.
func (t *traces) stop() {
	if t == nil {
		return
	}
	hurry := time.AfterFunc(flushTimeout, t.exporter.giveUp)
	defer hurry.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout+time.Second)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		t.log.Warn("stop sending traces", "err", err)
	}
}

// calmExporter keeps a collector that is out of reach from filling the log, and
// from holding up the end. Spans that it refused are lost.
type calmExporter struct {
	sdktrace.SpanExporter
	log    *slog.Logger
	giveUp context.CancelFunc
	given  context.Context // ends when no more is to be sent

	// These belong to the batcher, which exports one batch at a time.
	lost int       // spans since the log heard of it
	told time.Time // when it did
}

func newCalmExporter(exporter sdktrace.SpanExporter, log *slog.Logger) *calmExporter {
	e := &calmExporter{SpanExporter: exporter, log: log}
	e.given, e.giveUp = context.WithCancel(context.Background())
	return e
}

// ExportSpans never fails: who calls it could only complain about each batch.
func (e *calmExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.given, cancel)()
	err := e.SpanExporter.ExportSpans(ctx, spans)
	if err == nil {
		return nil
	}
	e.lost += len(spans)
	if time.Since(e.told) >= complaintInterval {
		e.log.Warn("traces cannot be sent, and are lost", "spans", e.lost, "err", withoutURL(err))
		e.lost, e.told = 0, time.Now()
	}
	return nil
}

// withoutURL is an error without the URL that net/http puts before it: that of a
// collector may hold a password or a token.
func withoutURL(err error) error {
	var request *url.Error
	if errors.As(err, &request) {
		return request.Err
	}
	return err
}
