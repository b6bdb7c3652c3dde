package worker

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-worker/understudy"
)

// session is a worker that runs in a test's bubble.
type session struct {
	t      *testing.T
	queue  *fakeQueue
	worker *Worker
	log    *logBook
	begun  time.Time
	demote context.CancelFunc
	result chan error
}

// handle is what the jobs of a test do.
type handle = func(ctx context.Context, job *understudy.Job) error

// start runs a worker on the queue. Options that change nothing may be nil.
func start(t *testing.T, queue *fakeQueue, concurrency int, work handle, change func(*Options)) *session {
	t.Helper()
	s := &session{t: t, queue: queue, log: &logBook{}, begun: time.Now(), result: make(chan error, 1)}
	options := Options{
		Queue:    queue,
		Handlers: understudy.Handlers{"work": understudy.HandlerFunc(work)},
		Queues:   map[string]int{"default": concurrency},
		Lease:    queue.lease,
		Log:      slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&options)
	}
	var err error
	if s.worker, err = New(options); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s.demote = cancel
	t.Cleanup(cancel)
	go func() { s.result <- s.worker.Run(ctx) }()
	return s
}

// ended waits for Run to return, by virtual time.
func (s *session) ended() error {
	s.t.Helper()
	select {
	case err := <-s.result:
		return err
	case <-time.After(time.Hour):
		s.t.Fatal("Run did not return for an hour")
		return nil
	}
}

// drained demotes the worker and expects it to end well.
func (s *session) drained() {
	s.t.Helper()
	s.demote()
	if err := s.ended(); err != nil {
		s.t.Errorf("Run returned %v, want nil", err)
	}
}

// lost expects the worker to end because its epoch is over.
func (s *session) lost() {
	s.t.Helper()
	if err := s.ended(); !errors.Is(err, understudy.ErrEpochOver) || errors.Is(err, ErrStuck) {
		s.t.Errorf("Run returned %v, want ErrEpochOver", err)
	}
}

// stuck expects the worker to end because of a stuck handler of that job.
func (s *session) stuck(id int64, cause error) {
	s.t.Helper()
	err := s.ended()
	var stuck *StuckError
	if !errors.Is(err, ErrStuck) || !errors.As(err, &stuck) {
		s.t.Fatalf("Run returned %v, want ErrStuck", err)
	}
	if len(stuck.Jobs) != 1 || stuck.Jobs[0].ID != id || stuck.Jobs[0].Kind != "work" || stuck.Cause != cause {
		s.t.Errorf("stuck: %+v, want job %d because of %v", stuck, id, cause)
	}
	if !strings.Contains(err.Error(), "job 1 of kind \"work\"") {
		s.t.Errorf("error %q does not name the job", err)
	}
}

// since is the virtual time since the worker was started.
func (s *session) since() time.Duration { return time.Since(s.begun) }

// want compares the counts of the queue's jobs by state.
func (s *session) want(state understudy.State, n int) {
	s.t.Helper()
	if states := s.queue.states(); states[state] != n {
		s.t.Errorf("jobs by state %v, want %d %s", states, n, state)
	}
}

// wantTime compares times that are to be the same but for jitter.
func wantTime(t *testing.T, what string, got, want, within time.Duration) {
	t.Helper()
	if got < want-within || got > want+within {
		t.Errorf("%s after %s, want %s ±%s", what, got, want, within)
	}
}

// logBook keeps what is logged.
type logBook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBook) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(line)
}

// lines counts the lines that have all of the words.
func (b *logBook) lines(words ...string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
next:
	for line := range strings.Lines(b.text.String()) {
		for _, word := range words {
			if !strings.Contains(line, word) {
				continue next
			}
		}
		n++
	}
	return n
}

// bubble runs a test in virtual time.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Parallel()
	synctest.Test(t, test)
}

// nothing completes a job at once.
func nothing(context.Context, *understudy.Job) error { return nil }

// obedient works until it is told to stop.
func obedient(ctx context.Context, _ *understudy.Job) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

// sleeper works for d, or until it is told to stop.
func sleeper(d time.Duration) handle {
	return func(ctx context.Context, _ *understudy.Job) error {
		if sleep(ctx, d) {
			return nil
		}
		return ctx.Err()
	}
}
