package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

// Handle calls the handler under a span. Whatever the handler does, a panic too,
// its caller sees as without.
func (h *tracedHandler) Handle(ctx context.Context, job *understudy.Job) error {
	ctx, span := h.tracer.Start(continued(ctx, job), job.Kind, trace.WithSpanKind(trace.SpanKindConsumer), h.place, trace.WithAttributes(
		semconv.MessagingMessageID(strconv.FormatInt(job.ID, 10)), semconv.MessagingDestinationName(job.Queue),
		kindKey.String(job.Kind), attemptKey.Int(job.Attempt), maxAttemptsKey.Int(job.MaxAttempts),
	))
	defer span.End() // it notes a panic, and lets it pass
	returned := false
	defer func() {
		if !returned {
			conclude(span, charged(job), "the handler did not return")
		}
	}()
	err := h.next.Handle(ctx, job)
	returned = true
	if span.IsRecording() {
		outcome, reason := outcomeOf(job, err, context.Cause(ctx))
		conclude(span, outcome, reason)
	}
	return err
}

// conclude says how the attempt ended. What charges nobody is no error.
func conclude(span trace.Span, outcome understudy.Verdict, reason string) {
	span.SetAttributes(outcomeKey.String(outcome.String()))
	if outcome == understudy.Retried || outcome == understudy.Discarded {
		span.SetStatus(codes.Error, understudy.ErrorText(reason))
	}
}

// outcomeOf is what the worker is going to make of what a handler returned, and
// the handler's reason. The cause is why the job's context had ended, if it had.
func outcomeOf(job *understudy.Job, err, cause error) (outcome understudy.Verdict, reason string) {
	defer func() {
		if r := recover(); r != nil { // a handler's own error type may panic
			outcome, reason = charged(job), fmt.Sprintf("the handler's error, a %T, cannot be read", err)
		}
	}()
	var discard *understudy.DiscardError
	var snooze *understudy.SnoozeError
	switch {
	case err == nil:
		return understudy.Completed, ""
	case cause == worker.ErrJobCancelled:
		return understudy.Cancelled, err.Error()
	case errors.As(err, &discard):
		return understudy.Discarded, err.Error()
	case errors.As(err, &snooze):
		return understudy.Snoozed, err.Error()
	case cause == worker.ErrDrained, cause == worker.ErrLeaseLost:
		return understudy.Released, err.Error()
	}
	return charged(job), err.Error()
}

// charged is the outcome of a failure.
func charged(job *understudy.Job) understudy.Verdict {
	if job.Attempt >= job.MaxAttempts {
		return understudy.Discarded
	}
	return understudy.Retried
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
