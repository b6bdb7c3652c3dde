package store_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/internal/pgtest"
	"github.com/understudy-worker/understudy/store"
)

// ear listens to everything that a schema notifies.
type ear struct {
	conn           *pgx.Conn
	schema         string
	wakes, cancels int
}

func (f *fixture) listen(t testing.TB) *ear {
	t.Helper()
	e := &ear{conn: pgtest.Conn(t), schema: f.schema}
	channels := []string{get[string](t, f, "SELECT {schema}.wake_channel()"), get[string](t, f, "SELECT {schema}.cancel_channel()"), f.schema}
	for _, channel := range channels {
		if _, err := e.conn.Exec(t.Context(), "LISTEN "+pgx.Identifier{channel}.Sanitize()); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

// until counts notifications until there is one on the channel.
func (e *ear) until(t testing.TB, channel string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		n, err := e.conn.WaitForNotification(ctx)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case n.Channel == channel:
			return
		case strings.HasPrefix(n.Channel, "understudy_cancel_"):
			e.cancels++
		default:
			e.wakes++
		}
		if n.Payload != "" {
			t.Errorf("a notification carries %q", n.Payload)
		}
	}
}

// listener is a call of Listen and what it called.
type listener struct {
	wakes, cancels chan struct{}
	stop           context.CancelFunc
	err            error
	done           chan struct{}
}

func listen(t testing.TB, q *store.Queue) *listener {
	ctx, stop := context.WithCancel(t.Context())
	l := &listener{wakes: make(chan struct{}, 100), cancels: make(chan struct{}, 100), stop: stop, done: make(chan struct{})}
	go func() {
		defer close(l.done)
		l.err = q.Listen(ctx, func() { l.wakes <- struct{}{} }, func() { l.cancels <- struct{}{} })
	}()
	t.Cleanup(func() { stop(); <-l.done })
	return l
}

func heard(t testing.TB, what string, calls chan struct{}) {
	t.Helper()
	select {
	case <-calls:
	case <-time.After(patience):
		t.Fatalf("no %s was heard", what)
	}
}

func TestListenHearsWhatIsDueAndWhatIsToBeCancelled(t *testing.T) {
	t.Parallel()
	f, other := migrated(t), migrated(t)
	q := f.epoch(t)
	l := listen(t, q)
	heard(t, "wake at the start", l.wakes)
	heard(t, "cancel at the start", l.cancels)

	mustEnqueue(t, other, store.NewJob{Kind: "a"}) // another schema's is not heard
	id := mustEnqueue(t, f, store.NewJob{Kind: "a"})
	heard(t, "wake of an enqueued job", l.wakes)

	jobs := held(t, q, []int64{id}, "a")
	if _, err := f.Cancel(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	heard(t, "cancel of a running job", l.cancels)

	again := mustEnqueue(t, f, store.NewJob{Kind: "a"})
	heard(t, "wake of an enqueued job", l.wakes)
	record(t, q, understudy.Outcome{Job: held(t, q, []int64{again}, "a")[0], Verdict: understudy.Released})
	heard(t, "wake of a released job", l.wakes)

	completed(t, q, jobs...)
	if _, err := f.RetryCompleted(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	heard(t, "wake of a retried job", l.wakes)

	l.stop()
	if <-l.done; l.err != nil {
		t.Errorf("Listen ended with %v, want nil when its context ends", l.err)
	}
	if len(l.wakes)+len(l.cancels) > 0 {
		t.Errorf("%d wakes, %d cancels more than there were", len(l.wakes), len(l.cancels))
	}
}

func TestEachSchemaHasChannelsOfItsOwn(t *testing.T) {
	t.Parallel()
	f, other := migrated(t), migrated(t)
	seen := map[string]bool{}
	for _, f := range []*fixture{f, other} {
		for _, query := range []string{"SELECT {schema}.wake_channel()", "SELECT {schema}.cancel_channel()"} {
			channel := get[string](t, f, query)
			if seen[channel] || len(channel) > 63 {
				t.Errorf("channel %q of %d bytes, seen: %t", channel, len(channel), seen[channel])
			}
			seen[channel] = true
		}
	}
}

func TestListenReturnsAnErrorWhenItsConnectionBreaks(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	l := listen(t, f.epoch(t))
	heard(t, "wake at the start", l.wakes)
	heard(t, "cancel at the start", l.cancels)
	ended := f.exec(t, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'LISTEN "' || {schema}.cancel_channel() || '"'`)
	if ended != 1 {
		t.Fatalf("%d sessions listened", ended)
	}
	<-l.done
	wantError(t, l.err, "listen in schema")

	l = listen(t, f.epoch(t)) // connects anew, and says that something may have been missed
	heard(t, "wake at the start", l.wakes)
	heard(t, "cancel at the start", l.cancels)
}

func TestListenReturnsNilWhenItsContextEndsWhileItConnects(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	never := func() { t.Error("called") }
	if err := q.Listen(ctx, never, never); err != nil {
		t.Error(err)
	}
}

func TestListenAsksForTheLoginOfTheMoment(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	var mu sync.Mutex
	rotated := errors.New("the password was rotated")
	var refuse error
	config := f.pool.Config()
	config.BeforeConnect = func(context.Context, *pgx.ConnConfig) error {
		mu.Lock()
		defer mu.Unlock()
		return refuse
	}
	g := f.withPool(t, config)
	q := g.epoch(t)
	ctx, cancel := context.WithCancel(t.Context())
	if err := q.Listen(ctx, cancel, func() {}); err != nil { // on the session that the epoch began with
		t.Fatal(err)
	}
	mu.Lock()
	refuse = rotated
	mu.Unlock()
	if err := q.Listen(t.Context(), func() {}, func() {}); !errors.Is(err, rotated) {
		t.Errorf("error is %v, want %v", err, rotated)
	}
}

func TestThroughAPoolerListenWaitsForItsContext(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	l := listen(t, f.epoch(t, pooled))
	mustEnqueue(t, f, store.NewJob{Kind: "a"})
	select {
	case <-l.done:
		t.Fatalf("Listen returned: %v", l.err)
	case <-time.After(100 * time.Millisecond):
	}
	l.stop()
	if <-l.done; l.err != nil || len(l.wakes) > 0 {
		t.Errorf("error %v, %d wakes; want none", l.err, len(l.wakes))
	}
}
