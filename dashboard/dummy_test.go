package dashboard_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/dashboard"
)

// recorder counts what is enqueued.
type recorder struct {
	calls atomic.Int64
	kind  string
	args  any
}

func (r *recorder) enqueue(_ context.Context, kind string, args any) (int64, error) {
	r.kind, r.args = kind, args
	return r.calls.Add(1), nil
}

const nothingServed = "nothing was enqueued: this worker serves no target now, /health/ready says why"

func TestDummyEnqueuesOneEchoJob(t *testing.T) {
	t.Parallel()
	var enqueued recorder
	o := options()
	o.Enqueue = enqueued.enqueue
	got := ask(handler(t, o), "POST", "/dummy")
	if got.code != 201 || got.body != "{\"id\":1,\"id_text\":\"1\"}\n" || got.header.Get("Content-Type") != "application/json" {
		t.Errorf("got %d %q %v", got.code, got.body, got.header)
	}
	if enqueued.calls.Load() != 1 || enqueued.kind != "echo" || enqueued.args != nil {
		t.Errorf("enqueued %d, the last %q with %v", enqueued.calls.Load(), enqueued.kind, enqueued.args)
	}
}

func TestABrowserIsShownTheDummyThatItEnqueued(t *testing.T) {
	t.Parallel()
	got := ask(handler(t, options()), "POST", "/dummy", "Accept", "text/html")
	if got.code != 303 || got.header.Get("Location") != "/jobs/7" {
		t.Errorf("got %d to %q", got.code, got.header.Get("Location"))
	}
}

func TestDummyNeedsATarget(t *testing.T) {
	t.Parallel()
	for _, phase := range []understudy.Phase{
		understudy.PhaseStarting, understudy.PhaseIdle, understudy.PhaseOpening, understudy.PhaseDraining, understudy.PhaseStopped,
	} {
		var enqueued recorder
		o := options()
		o.Enqueue = enqueued.enqueue
		o.Status = func() understudy.Status {
			now := serving
			now.Phase = phase
			return now
		}
		got := ask(handler(t, o), "POST", "/dummy")
		got.check(t, 503, nothingServed)
		if enqueued.calls.Load() != 0 || got.header.Get("Retry-After") != "1" {
			t.Errorf("%s: %d enqueued, headers %v", phase, enqueued.calls.Load(), got.header)
		}
	}
}

func TestDummyOfATargetThatIsGoneInThatMoment(t *testing.T) {
	t.Parallel()
	o := options()
	o.Enqueue = func(context.Context, string, any) (int64, error) {
		return 0, fmt.Errorf("enqueue: %w", dashboard.ErrNothingServed)
	}
	ask(handler(t, o), "POST", "/dummy").check(t, 503, nothingServed)
}

func TestReadOnlyEnqueuesNothing(t *testing.T) {
	t.Parallel()
	var enqueued recorder
	o := options()
	o.Enqueue, o.ReadOnly = enqueued.enqueue, true
	ask(handler(t, o), "POST", "/dummy").check(t, 403, "refused: http.read_only is set")
	if enqueued.calls.Load() != 0 {
		t.Error("a job was enqueued")
	}
}

func TestAnInternalErrorStaysInTheLog(t *testing.T) {
	t.Parallel()
	log, out := logged()
	o := options()
	o.Log = log
	o.Enqueue = func(context.Context, string, any) (int64, error) {
		return 0, &pgconn.PgError{Message: "permission denied for table ready_on_host_db.internal"}
	}
	got := ask(handler(t, o), "POST", "/dummy")
	got.check(t, 500, "internal error: see the log")
	mustContain(t, "the log", out.String(), "level=ERROR", "/dummy", "permission denied for table")
}

func TestADatabaseThatCannotBeReachedIsSaidSo(t *testing.T) {
	t.Parallel()
	log, out := logged()
	o := options()
	o.Log = log
	o.Enqueue = func(context.Context, string, any) (int64, error) { return 0, errors.New("dial db.internal: refused") }
	ask(handler(t, o), "POST", "/dummy").check(t, 503, "the database could not be asked: the log says why. The job may be enqueued or not")
	mustContain(t, "the log", out.String(), "db.internal")
}

func TestADatabaseThatDoesNotAnswerIsNotWaitedForLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log, out := logged()
		o := options()
		o.Log = log
		o.Enqueue = func(ctx context.Context, _ string, _ any) (int64, error) {
			<-ctx.Done()
			return 0, fmt.Errorf("connect to db.internal: %w", ctx.Err())
		}
		got := ask(handler(t, o), "POST", "/dummy")
		got.check(t, 503, "the database did not answer within 5s: the job may be enqueued or not")
		if !strings.Contains(out.String(), "db.internal") {
			t.Errorf("the log lacks the error:\n%s", out)
		}
	})
}
