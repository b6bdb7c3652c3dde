package app

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/understudy-worker/understudy"
)

func TestTracesGoWhereTheEnvironmentSays(t *testing.T) {
	t.Parallel()
	for environ, want := range map[string]traceSettings{
		"": {exporter: "none"},
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318":                                                                      {"otlp", "http://c:4318/v1/traces"},
		"OTEL_EXPORTER_OTLP_ENDPOINT=https://c/base/":                                                                    {"otlp", "https://c/base/v1/traces"},
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://c:4318/mine":                                                          {"otlp", "http://c:4318/mine"},
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://c/mine OTEL_EXPORTER_OTLP_ENDPOINT=http://d":                          {"otlp", "http://c/mine"},
		"OTEL_TRACES_EXPORTER=otlp":                                                                                      {"otlp", "http://localhost:4318/v1/traces"},
		"OTEL_TRACES_EXPORTER=console OTEL_EXPORTER_OTLP_ENDPOINT=http://c":                                              {"console", ""},
		"OTEL_TRACES_EXPORTER=none OTEL_EXPORTER_OTLP_ENDPOINT=http://c":                                                 {"none", ""},
		"OTEL_SDK_DISABLED=True OTEL_TRACES_EXPORTER=otlp":                                                               {"none", ""},
		"OTEL_SDK_DISABLED=false OTEL_TRACES_EXPORTER=otlp":                                                              {"otlp", "http://localhost:4318/v1/traces"},
		"OTEL_EXPORTER_OTLP_ENDPOINT= OTEL_TRACES_EXPORTER=":                                                             {"none", ""},
		"OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf OTEL_EXPORTER_OTLP_ENDPOINT=http://c":                                 {"otlp", "http://c/v1/traces"},
		"OTEL_EXPORTER_OTLP_PROTOCOL=grpc OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf OTEL_TRACES_EXPORTER=otlp":    {"otlp", "http://localhost:4318/v1/traces"},
		"OTEL_EXPORTER_OTLP_PROTOCOL=grpc":                                                                               {"none", ""},
		"OTEL_TRACES_EXPORTER=none OTEL_EXPORTER_OTLP_PROTOCOL=grpc OTEL_EXPORTER_OTLP_ENDPOINT=what is set for others ": {"none", ""},
	} {
		got, err := readTraceSettings(strings.Split(environ, " "))
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v, want %+v", environ, got, err, want)
		}
	}
}

func TestAVariableThatCannotBeMeantIsRefusedByItsName(t *testing.T) {
	t.Parallel()
	for environ, want := range map[string][]string{
		"OTEL_TRACES_EXPORTER=zipkin":                                              {"OTEL_TRACES_EXPORTER", `"zipkin"`, "otlp, console or none"},
		"OTEL_EXPORTER_OTLP_PROTOCOL=grpc OTEL_TRACES_EXPORTER=otlp":               {"OTEL_EXPORTER_OTLP_PROTOCOL", `"grpc"`, "http/protobuf"},
		"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/json OTEL_TRACES_EXPORTER=otlp":   {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", `"http/json"`, "http/protobuf"},
		"OTEL_EXPORTER_OTLP_ENDPOINT=collector:4318":                               {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://host:4318"},
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=/v1/traces":                            {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://host:4318"},
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://me:secret@[c OTEL_TRACES_EXPORTER=":    {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://host:4318"},
		"OTEL_EXPORTER_OTLP_ENDPOINT=unix://me:secret@c OTEL_TRACES_EXPORTER=otlp": {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://host:4318"},
	} {
		_, err := readTraceSettings(strings.Split(environ, " "))
		if err == nil {
			t.Errorf("%q is taken", environ)
			continue
		}
		for _, part := range want {
			if !strings.Contains(err.Error(), part) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%q: %q, want %q in it, and no secret", environ, err, part)
			}
		}
	}
}

func TestWithoutTracesNothingIsWrapped(t *testing.T) {
	t.Parallel()
	a := &application{IO: IO{Environ: []string{"OTEL_SERVICE_NAME=me", "OTEL_TRACES_SAMPLER=always_on"}, Out: io.Discard}}
	traces, err := a.newTraces("1.0", slog.New(slog.DiscardHandler))
	if traces != nil || err != nil {
		t.Fatalf("traces are on: %v", err)
	}
	defer traces.stop()
	all := understudy.Handlers{"mail": &tracedHandler{}}
	if got := traces.handlers(all, understudy.Place{}); !maps.Equal(got, all) {
		t.Errorf("handlers are %v, want %v", got, all)
	}
	if tracer := traces.queries(); tracer != nil {
		t.Errorf("pools have the tracer %T", tracer)
	}
}

// refusing is an exporter that cannot send.
type refusing struct{ sdktrace.SpanExporter }

func (refusing) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error {
	return errors.New("connection refused")
}

func TestTheLogHearsOfSpansThatCannotBeSentOnceAWhile(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	e := newCalmExporter(refusing{}, slog.New(slog.NewTextHandler(&out, nil)))
	spans := make([]sdktrace.ReadOnlySpan, 2)
	for range 3 {
		if err := e.ExportSpans(t.Context(), spans); err != nil {
			t.Error(err)
		}
	}
	if strings.Count(out.String(), "\n") != 1 || !strings.Contains(out.String(), "spans=2 err=\"connection refused\"") {
		t.Errorf("the log has %q", out.String())
	}
	e.told = e.told.Add(-complaintInterval)
	_ = e.ExportSpans(t.Context(), spans) // it never fails
	if !strings.Contains(out.String(), "spans=6 ") {
		t.Errorf("the log has %q", out.String())
	}
}
