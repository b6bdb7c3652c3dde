package handlers_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/handlers"
)

// verdict is what a handler's error means for its job.
func verdict(err error) string {
	var discard *understudy.DiscardError
	var after *understudy.RetryAfterError
	switch {
	case err == nil:
		return "completed"
	case errors.As(err, &discard):
		return "discarded"
	case errors.As(err, &after):
		return "retried after " + after.Delay.String()
	}
	return "retried"
}

func TestEchoSaysWhoWorkedTheJob(t *testing.T) {
	t.Parallel()
	job := newJob(`{"a": [1, "<"]}`)
	if err := handlers.Defaults(place)["echo"].Handle(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	var got any
	if err := json.Unmarshal(job.Result(), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"echo": map[string]any{"a": []any{1.0, "<"}}, "kind": "k", "attempt": 1.0,
		"role": "preview", "target": "preview", "schema": "preview_x", "version": "2.0",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
}

func TestSleepLastsAsLongAsItIsTold(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]time.Duration{
		`{"seconds": 0.5}`:       500 * time.Millisecond,
		`{"seconds": 0}`:         0,
		`{"duration": "90m"}`:    90 * time.Minute,
		`{}`:                     7 * time.Second,
		`{"somebody": "else's"}`: 7 * time.Second,
	} {
		synctest.Test(t, func(t *testing.T) {
			job := newJob(args)
			began := time.Now()
			if err := newHandler(t, map[string]any{"type": "sleep", "duration": "7s"}).Handle(t.Context(), job); err != nil {
				t.Fatal(err)
			}
			if got := time.Since(began); got != want {
				t.Errorf("%s: slept %s, want %s", args, got, want)
			}
			if diff := cmp.Diff(fmt.Sprintf(`{"slept_seconds":%v}`, want.Seconds()), string(job.Result())); diff != "" {
				t.Errorf("%s: result (-want +got):\n%s", args, diff)
			}
		})
	}
}

func TestSleepEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("the drain's deadline")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, cause)
		defer cancel()
		began, job := time.Now(), newJob(`{"seconds": 60}`)
		err := handlers.Defaults(place)["sleep"].Handle(ctx, job)
		if err != cause || time.Since(began) != time.Second || job.Result() != nil {
			t.Errorf("error %v after %s with result %s; want the context's cause after 1s", err, time.Since(began), job.Result())
		}
	})
}

func TestSleepDiscardsWhatIsNoLength(t *testing.T) {
	t.Parallel()
	for _, args := range []string{
		`{"seconds": -1}`, `{"seconds": 1e10}`, `{"seconds": "1"}`, `{"duration": "1"}`, `{"duration": "-1s"}`,
		`{"seconds": 1, "duration": "1s"}`, `[]`, ``,
	} {
		err := handlers.Defaults(place)["sleep"].Handle(t.Context(), newJob(args))
		if got := verdict(err); got != "discarded" {
			t.Errorf("%s: %s (%v), want discarded", args, got, err)
		}
	}
}

func TestFailFailsAsItIsTold(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args    string
		attempt int
		want    string
	}{
		{`{}`, 1, "retried: failed as its arguments asked"},
		{`{"message": "boom"}`, 25, "retried: boom"},
		{`{"message": "boom", "times": 2}`, 2, "retried: boom"},
		{`{"message": "boom", "times": 2}`, 3, "completed: <nil>"},
		{`{"message": "boom", "discard": true}`, 1, "discarded: discard: boom"},
		{`{"message": "boom", "panic": true}`, 1, "panicked: boom"},
		{`{"message": "boom", "panic": true, "discard": true}`, 1, "panicked: boom"},
		{`{"message": "boom", "panic": true, "times": 1}`, 2, "completed: <nil>"},
	} {
		job := newJob(test.args)
		job.Attempt = test.attempt
		if got := failed(t.Context(), job); got != test.want {
			t.Errorf("%s at attempt %d: %s, want %s", test.args, test.attempt, got, test.want)
		}
	}
}

// failed is how the fail handler ends a job.
func failed(ctx context.Context, job *understudy.Job) (how string) {
	defer func() {
		if value := recover(); value != nil {
			how = fmt.Sprint("panicked: ", value)
		}
	}()
	err := handlers.Defaults(place)["fail"].Handle(ctx, job)
	return fmt.Sprintf("%s: %v", verdict(err), err)
}
