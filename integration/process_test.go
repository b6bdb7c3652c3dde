package integration_test

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/understudy-worker/understudy/internal/pause"
)

func TestNothingIsLostWhenWorkersAreKilledAgainAndAgain(t *testing.T) {
	t.Parallel()
	th := onOneServer(t)
	pods := []*pod{th.start("a", "active"), th.start("b", "active"), th.start("c", "preview")}
	stop := th.produce(50, 1, th.production(), th.preview())
	for round := range 9 {
		p := pods[round%len(pods)]
		pl := th.production()
		if p.name == "c" {
			pl = th.preview()
		}
		th.until(p.name+" runs something", func(context.Context) bool { return p.process().busy() })
		p.process().kill()
		th.do(p.start())
		th.until(p.name+" has begun another epoch", func(ctx context.Context) bool { return p.epochs(ctx, pl) >= round/len(pods)+2 })
	}
	stop()
	th.untilDone(th.production())
	th.untilDone(th.preview())
	th.check()
}

func TestAFrozenWorkerThatWakesAfterTheRescueChangesNothing(t *testing.T) {
	t.Parallel()
	th := onOneServer(t)
	a, b := th.start("a", "active"), th.start("b", "active")
	th.untilServes(a, th.production(), "active")
	th.untilServes(b, th.production(), "active")
	for range 2 {
		// More than b can take alone.
		th.enqueue(th.production(), "effect", 100, 500*time.Millisecond)
		th.enqueue(th.production(), "slow", 100, 500*time.Millisecond)
		th.until("a runs something", func(context.Context) bool { return a.process().busy() })
		begun := a.epochs(t.Context(), th.production())
		th.do(a.process().freeze())
		th.untilDone(th.production()) // b has rescued what a held
		before := th.rows(th.production())
		th.do(a.process().thaw())
		th.until("a has found out that its lease is gone", func(ctx context.Context) bool {
			return a.epochs(ctx, th.production()) > begun
		})
		if after := th.rows(th.production()); after != before {
			t.Errorf("the rows changed after the frozen worker woke:\n%s\nbefore:\n%s", after, before)
		}
	}
	if lost := th.check().Lost; lost == 0 {
		t.Error("the frozen worker lost no job: nothing was tried")
	}
}

func TestAFrozenWorkerThatWakesWhileItsJobsRunElsewhereChangesNothing(t *testing.T) {
	t.Parallel()
	th := onOneServer(t)
	a := th.start("a", "active")
	th.untilServes(a, th.production(), "active")
	// They end by themselves while a is frozen: a has their outcomes the moment it wakes.
	const jobs, takes = 20, 2 * lease
	th.enqueue(th.production(), "stubborn", jobs, takes)
	th.until("a runs them all", func(context.Context) bool { return a.process().running() == jobs })
	over := time.Now().Add(takes)
	th.do(a.process().freeze())
	th.start("b", "active")
	const rescued = "SELECT EXISTS (SELECT FROM {schema}.jobs j JOIN {schema}.workers w ON w.id = j.worker_id WHERE j.state = 'running' AND j.losses > 0 AND w.pod = 'b')"
	th.untilSQL(th.production(), "b runs what a held", rescued)
	th.do(pause.For(t.Context(), time.Until(over)))
	th.do(a.process().thaw())
	th.until("a has found out that its lease is gone", func(ctx context.Context) bool {
		return a.epochs(ctx, th.production()) > 1
	})
	th.untilDone(th.production())
	th.untilSQL(th.production(), "b has completed what a held",
		"SELECT bool_and(w.pod = 'b') FROM {schema}.jobs j JOIN {schema}.workers w ON w.id = j.worker_id WHERE j.losses > 0")
	th.check()
}

func TestAWorkerThatIsFrozenForLessThanItsLeaseGoesOn(t *testing.T) {
	t.Parallel()
	th := onOneServer(t)
	a := th.start("a", "active", "--worker.lease=20s")
	th.untilServes(a, th.production(), "active")
	th.enqueue(th.production(), "effect", 30, time.Second)
	th.until("it runs something", func(context.Context) bool { return a.process().busy() })
	th.do(a.process().freeze())
	th.do(pause.For(t.Context(), time.Second))
	th.do(a.process().thaw())
	th.untilDone(th.production())
	if begun := a.epochs(t.Context(), th.production()); begun != 1 {
		t.Errorf("%d epochs, want the one that it was in", begun)
	}
	th.check()
}

func TestATerminatedWorkerEndsInTimeAndLeavesNothingRunning(t *testing.T) {
	t.Parallel()
	th := onOneServer(t)
	a := th.start("a", "active")
	th.untilServes(a, th.production(), "active")
	th.enqueue(th.production(), "slow", 200, 5*time.Second)
	th.until("it runs something", func(context.Context) bool { return a.process().busy() })
	th.do(a.process().signal(syscall.SIGTERM))
	if code, err := a.process().exitCode(); err != nil || code != 0 {
		t.Errorf("exit code %d, error %v", code, err)
	}
	th.untilSQL(th.production(), "nothing is claimed", "SELECT NOT EXISTS (SELECT FROM {schema}.claims)")
	th.untilSQL(th.production(), "every job is back", "SELECT count(*) = 200 FROM {schema}.jobs WHERE state = 'available' AND attempt = 0")
	b := th.start("b", "active", "--targets.production.drain_timeout=20s", "--queues.default.concurrency=200")
	th.untilServes(b, th.production(), "active")
	th.untilDone(th.production())
	th.check()
}
