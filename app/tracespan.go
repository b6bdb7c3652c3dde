package app

import (
	"bytes"
	"context"
	"encoding/json"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/worker"
)

// Attributes of a span that OpenTelemetry has no name for.
const (
	attemptKey     = attribute.Key("understudy.job.attempt")
	maxAttemptsKey = attribute.Key("understudy.job.max_attempts")
	kindKey        = attribute.Key("understudy.job.kind")
	outcomeKey     = attribute.Key("understudy.job.outcome")
	reasonKey      = attribute.Key("understudy.job.reason") // why it was cancelled
	roleKey        = attribute.Key("understudy.role")
	targetKey      = attribute.Key("understudy.target")
	schemaKey      = attribute.Key("understudy.schema")
	versionKey     = attribute.Key("understudy.version")
)

// tracedHandler puts a span around each attempt.
type tracedHandler struct {
	next   understudy.Handler
	tracer trace.Tracer
	place  trace.SpanStartEventOption
}

// placeAttributes are the same for all attempts of an epoch.
func placeAttributes(place understudy.Place) trace.SpanStartEventOption {
	return trace.WithAttributes(
		semconv.MessagingSystemKey.String("understudy"), semconv.MessagingOperationTypeProcess, semconv.MessagingOperationName("process"),
		roleKey.String(place.Role), targetKey.String(place.Target), schemaKey.String(place.Schema), versionKey.String(place.Version),
	)
}

// Handle calls the handler under a span. A panic becomes the error that the worker
// would make of it.
func (h *tracedHandler) Handle(ctx context.Context, job *understudy.Job) error {
	ctx, span := h.tracer.Start(continued(ctx, job), job.Kind, trace.WithSpanKind(trace.SpanKindConsumer), h.place, trace.WithAttributes(
		semconv.MessagingMessageID(strconv.FormatInt(job.ID, 10)), semconv.MessagingDestinationName(job.Queue),
		kindKey.String(job.Kind), attemptKey.Int(job.Attempt), maxAttemptsKey.Int(job.MaxAttempts),
	))
	defer span.End()
	err := worker.ErrGoexit // what it stays if the handler ends its goroutine
	defer func() {
		if span.IsRecording() {
			conclude(span, job, err, context.Cause(ctx))
		}
	}()
	err = worker.Call(ctx, h.next, job)
	return err
}

// conclude says how the attempt ended, as the job's row does. What charges nobody
// is no error of the span.
func conclude(span trace.Span, job *understudy.Job, err, cause error) {
	outcome := worker.Judge(job, err, cause)
	if job.MarkedCompleted() { // and nothing undoes that
		outcome = understudy.Outcome{Job: job, Verdict: understudy.Completed}
	}
	span.SetAttributes(outcomeKey.String(outcome.Verdict.String()))
	switch {
	case outcome.Verdict == understudy.Retried, outcome.Verdict == understudy.Discarded:
		span.SetStatus(codes.Error, outcome.Error)
	case outcome.Error != "":
		span.SetAttributes(reasonKey.String(outcome.Error))
	}
	if panicked, ok := err.(*worker.PanicError); ok {
		span.RecordError(panicked)
	}
}

// continued is ctx in the trace of who enqueued the job, where its metadata holds
// a W3C traceparent.
func continued(ctx context.Context, job *understudy.Job) context.Context {
	if !bytes.Contains(job.Metadata, []byte(`"traceparent"`)) {
		return ctx
	}
	var parent struct{ Traceparent, Tracestate string }
	if err := json.Unmarshal(job.Metadata, &parent); err != nil { // it is something else of that name
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{
		"traceparent": parent.Traceparent, "tracestate": parent.Tracestate,
	})
}
