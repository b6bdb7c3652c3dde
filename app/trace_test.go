package app_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/supervisor"
)

// collector takes spans as OTLP over HTTP.
type collector struct {
	*httptest.Server
	mu    sync.Mutex
	spans []span
}

// span is one that came, with its attributes and its resource's as text.
type span struct {
	*tracepb.Span
	attributes, resource map[string]string
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request collectorpb.ExportTraceServiceRequest
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = proto.Unmarshal(body, &request)
		}
		if err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s %s: %v", r.Method, r.URL, err)
		}
		c.take(&request)
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *collector) take(request *collectorpb.ExportTraceServiceRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, of := range request.ResourceSpans {
		for _, scope := range of.ScopeSpans {
			for _, s := range scope.Spans {
				c.spans = append(c.spans, span{s, texts(s.Attributes), texts(of.Resource.Attributes)})
			}
		}
	}
}

func texts(attributes []*commonpb.KeyValue) map[string]string {
	all := map[string]string{}
	for _, a := range attributes {
		switch value := a.Value.Value.(type) {
		case *commonpb.AnyValue_StringValue:
			all[a.Key] = value.StringValue
		case *commonpb.AnyValue_IntValue:
			all[a.Key] = strconv.FormatInt(value.IntValue, 10)
		}
	}
	return all
}

// named are the spans of that name.
func (c *collector) named(name string) (all []span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if s.Name == name {
			all = append(all, s)
		}
	}
	return all
}

// tracedShell is a shell whose worker has handlers that end in every way.
func tracedShell(t *testing.T, environ ...string) *shell {
	t.Helper()
	s := migratedShell(t)
	s.environ = append(s.environ, environ...)
	s.options.Version = "7.1"
	s.options.Handlers = func(_ context.Context, env supervisor.Env) (understudy.Handlers, error) {
		return understudy.Handlers{
			"ask": understudy.HandlerFunc(func(ctx context.Context, _ *understudy.Job) error {
				var one int
				return env.Pool.QueryRow(ctx, "SELECT 1 + 0").Scan(&one)
			}),
			"fail":    understudy.HandlerFunc(func(context.Context, *understudy.Job) error { return errors.New("no such account") }),
			"discard": understudy.HandlerFunc(func(context.Context, *understudy.Job) error { return understudy.Discard(errors.New("never")) }),
			"busy": understudy.HandlerFunc(func(context.Context, *understudy.Job) error {
				return understudy.RetryAfter(time.Hour, errors.New("full"))
			}),
			"exit":   understudy.HandlerFunc(func(context.Context, *understudy.Job) error { runtime.Goexit(); return nil }),
			"snooze": understudy.HandlerFunc(func(context.Context, *understudy.Job) error { return understudy.Snooze(time.Hour) }),
			"panic":  understudy.HandlerFunc(func(context.Context, *understudy.Job) error { panic("out of cheese") }),
			"wait": understudy.HandlerFunc(func(ctx context.Context, _ *understudy.Job) error {
				<-ctx.Done()
				return ctx.Err()
			}),
		}, nil
	}
	return s
}

// works runs a worker until stop is called, which says how it ended.
func (s *shell) works(flags ...string) (stop func() ran) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan ran, 1)
	go func() {
		ended <- s.runWith(ctx, nil, append([]string{"run", "--role=active", "--http.addr=", "--worker.poll_interval=100ms", "--targets.production.drain_timeout=200ms"}, flags...)...)
	}()
	stop = sync.OnceValue(func() ran {
		cancel()
		return <-ended
	})
	s.t.Cleanup(func() { stop() })
	return stop
}

// becomes waits until a job is in a state.
func (s *shell) becomes(id, state string) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		var now string
		if err := s.pool.QueryRow(s.t.Context(), "SELECT state FROM "+quoted(s.production)+".jobs WHERE id = $1", id).Scan(&now); err != nil {
			s.t.Fatal(err)
		}
		if now == state {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("job %s is %s, and did not become %s", id, now, state)
		}
	}
}

// puts enqueues a job, with more of what the function enqueue takes, and returns its id.
func (s *shell) puts(kind string, more ...string) (id string) {
	s.t.Helper()
	call := strings.Join(append([]string{"'" + kind + "'"}, more...), ", ")
	if err := s.pool.QueryRow(s.t.Context(), "SELECT "+quoted(s.production)+".enqueue("+call+")::text").Scan(&id); err != nil {
		s.t.Fatal(err)
	}
	return id
}

func TestAnAttemptIsASpanInTheTraceOfItsEnqueuerWithItsQueriesBelow(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	s := tracedShell(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+c.URL)
	stop := s.works()
	id := s.puts("ask", `metadata => '{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}'`)
	s.becomes(id, "completed")
	if r := stop(); r.code != 0 {
		t.Fatalf("exit code %d: %s", r.code, r.err)
	}
	attempts := c.named("ask")
	if len(attempts) != 1 || len(c.spans) > 3 { // the query may be prepared first
		t.Fatalf("%d attempts, and in all: %v", len(attempts), c.spans)
	}
	attempt := attempts[0]
	queries := slices.DeleteFunc(c.named("SELECT"), func(s span) bool { return !bytes.Equal(s.ParentSpanId, attempt.SpanId) })
	if got := [2]string{hex.EncodeToString(attempt.TraceId), hex.EncodeToString(attempt.ParentSpanId)}; got != [2]string{"0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"} {
		t.Errorf("the span continues %v", got)
	}
	if len(queries) != 1 || queries[0].attributes["db.query.text"] != "SELECT 1 + 0" {
		t.Errorf("the queries below it are %v", queries)
	}
	if diff := cmp.Diff(map[string]string{
		"messaging.system": "understudy", "messaging.operation.type": "process", "messaging.operation.name": "process",
		"messaging.message.id": id, "messaging.destination.name": "default",
		"understudy.job.kind": "ask", "understudy.job.attempt": "1", "understudy.job.max_attempts": "25", "understudy.job.outcome": "completed",
		"understudy.role": "active", "understudy.target": "production", "understudy.schema": s.production, "understudy.version": "7.1",
	}, attempt.attributes); diff != "" {
		t.Error(diff)
	}
	if attempt.resource["service.name"] != "understudy" || attempt.resource["service.version"] != "7.1" {
		t.Errorf("the resource is %v", attempt.resource)
	}
}

func TestASpanSaysHowItsAttemptEnded(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	s := tracedShell(t, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="+c.URL+"/v1/traces")
	stop := s.works()
	states := map[string]string{"ask": "completed", "fail": "retryable", "discard": "discarded", "snooze": "scheduled"}
	for kind, state := range states {
		s.becomes(s.puts(kind), state)
	}
	last := s.puts("fail", "max_attempts => 1", `metadata => '{"traceparent": 7}'`)
	s.becomes(last, "discarded")
	cancelled := s.puts("wait")
	s.becomes(cancelled, "running")
	s.ok("jobs", "cancel", cancelled)
	s.becomes(cancelled, "cancelled")
	released := s.puts("wait")
	s.becomes(released, "running")
	stop()
	s.becomes(released, "available")

	got := map[string]string{}
	for _, s := range c.spans {
		if outcome := s.attributes["understudy.job.outcome"]; outcome != "" {
			got[s.Name+" "+s.attributes["messaging.message.id"]] = outcome + " " + s.Status.GetCode().String() + " " + s.Status.GetMessage()
		}
	}
	want := map[string]string{
		"ask": "completed STATUS_CODE_UNSET ", "fail": "retried STATUS_CODE_ERROR no such account", "discard": "discarded STATUS_CODE_ERROR discard: never",
		"snooze":            "snoozed STATUS_CODE_UNSET ",
		"wait " + cancelled: "cancelled STATUS_CODE_UNSET ", "wait " + released: "released STATUS_CODE_UNSET ",
		"fail " + last: "discarded STATUS_CODE_ERROR no such account",
	}
	for name, outcome := range maps.Clone(got) { // ids of one kind are not of interest
		if _, ok := want[name]; !ok {
			kind, _, _ := strings.Cut(name, " ")
			delete(got, name)
			got[kind] = outcome
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestASpanHasTheOutcomeAndTheErrorOfItsJobsRow(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	s := tracedShell(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+c.URL)
	stop := s.works()
	for kind, state := range map[string]string{"busy": "retryable", "discard": "discarded", "snooze": "scheduled", "ask": "completed"} {
		s.becomes(s.puts(kind), state)
	}
	for _, kind := range []string{"fail", "panic", "exit"} {
		s.becomes(s.puts(kind, "max_attempts => 1"), "discarded")
	}
	cancelled := s.puts("wait")
	s.becomes(cancelled, "running")
	s.ok("jobs", "cancel", cancelled)
	s.becomes(cancelled, "cancelled")
	stop()
	stop = s.works("--worker.job_timeout=100ms")
	s.becomes(s.puts("wait", "max_attempts => 1"), "discarded")
	stop()

	states := map[string]string{"retried": "retryable", "discarded": "discarded", "snoozed": "scheduled", "cancelled": "cancelled", "completed": "completed"}
	got := map[string]string{}
	for _, span := range c.spans {
		if outcome := span.attributes["understudy.job.outcome"]; outcome != "" {
			got[span.attributes["messaging.message.id"]+" "+span.Name] = states[outcome] + ": " + span.Status.GetMessage() + span.attributes["understudy.job.reason"]
		}
	}
	rows, err := s.pool.Query(t.Context(), "SELECT id || ' ' || kind, state || ': ' || coalesce(last_error, '') FROM "+quoted(s.production)+".jobs")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	var job, told string
	if _, err = pgx.ForEachRow(rows, []any{&job, &told}, func() error { want[job] = told; return nil }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" || len(want) != 9 {
		t.Errorf("%d rows and %d spans (-row +span):\n%s", len(want), len(got), diff)
	}
	if panics := c.named("panic"); len(panics) != 1 || len(panics[0].Events) != 1 || !strings.Contains(panics[0].Status.GetMessage(), "out of cheese") {
		t.Errorf("the panic is not told: %v", panics)
	}
}

func TestTracesThatAreSwitchedOffAreNotSent(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	s := tracedShell(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+c.URL, "OTEL_SDK_DISABLED=true")
	stop := s.works()
	s.becomes(s.puts("ask"), "completed")
	stop()
	if len(c.spans) != 0 {
		t.Errorf("the collector has %v", c.spans)
	}
}

func TestTracesGoToTheConsoleWhereThatIsAskedFor(t *testing.T) {
	t.Parallel()
	s := tracedShell(t, "OTEL_TRACES_EXPORTER=console")
	stop := s.works()
	s.becomes(s.puts("ask"), "completed")
	out := json.NewDecoder(strings.NewReader(stop().out))
	names := map[string]bool{}
	for {
		var line struct{ Name string }
		if err := out.Decode(&line); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		names[line.Name] = true
	}
	if !names["ask"] || !names["SELECT"] {
		t.Errorf("the console has %v", names)
	}
}

func TestACollectorThatIsOutOfReachHoldsUpNeitherJobsNorTheEnd(t *testing.T) {
	t.Parallel()
	gone := newCollector(t)
	gone.Close()
	never := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // or the server does not notice that the client is gone
		select {
		case <-never:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(silent.Close)
	t.Cleanup(func() { close(never) })
	for name, url := range map[string]string{"gone": gone.URL, "silent": silent.URL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Without a bound of its own, a stop would wait for two minutes.
			s := tracedShell(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+url, "OTEL_EXPORTER_OTLP_TIMEOUT=120000", "OTEL_BSP_EXPORT_TIMEOUT=120000")
			stop := s.works()
			for range 3 {
				s.becomes(s.puts("ask"), "completed")
			}
			began := time.Now()
			r := stop()
			if took := time.Since(began); r.code != 0 || took > time.Minute {
				t.Errorf("it took %s to end, with exit code %d", took, r.code)
			}
			if told := strings.Count(r.err, "traces cannot be sent"); told != 1 {
				t.Errorf("the log says so %d times, want once:\n%s", told, r.err)
			}
		})
	}
}

func TestAWorkerWithAVariableOfOpenTelemetryThatCannotBeMeantDoesNotStart(t *testing.T) {
	t.Parallel()
	s := tracedShell(t, "OTEL_TRACES_EXPORTER=zipkin")
	s.fails(2, []string{"OTEL_TRACES_EXPORTER", `"zipkin"`, "otlp, console or none"}, "run", "--role=active", "--http.addr=")
}
