package app_test

import (
	"syscall"
	"testing"
	"time"
)

func TestJobsOfAKilledWorkerAreRescued(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	p := th.start("a", "active", shortLease)
	p.serves(th.production, "active")
	th.enqueue(th.production, "effect", 1000, 20*time.Millisecond)
	th.until("it is in the middle", "SELECT count(*) BETWEEN 100 AND 900 FROM {ledger}.effects")
	p.kill()
	th.start("b", "active")
	th.untilDone(th.production)
	if effects := ask[int](th, "SELECT count(DISTINCT job_id) FROM {ledger}.effects"); effects != 1000 {
		t.Errorf("%d of 1000 effects were made", effects)
	}
	if lost := ask[int](th, "SELECT count(*) FROM {production}.jobs WHERE state <> 'completed' OR attempt <> 1"); lost != 0 {
		t.Errorf("%d jobs were lost or charged for the loss of their worker", lost)
	}
	th.check(1000)
}

func TestAFrozenWorkerThatWakesAfterItsLeaseChangesNothing(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	p := th.start("a", "active", shortLease)
	p.serves(th.production, "active")
	th.enqueue(th.production, "effect", 50, 500*time.Millisecond)
	th.until("they run", "SELECT count(*) >= 10 FROM {ledger}.ledger")
	p.signal(syscall.SIGSTOP)
	th.start("b", "active")
	th.untilDone(th.production)
	before := ask[string](th, "SELECT md5(string_agg(j::text, ',' ORDER BY id)) FROM {production}.jobs j")
	p.signal(syscall.SIGCONT)
	// It serves again, in a new epoch, or has ended because a handler hung.
	p.thaw()
	after := ask[string](th, "SELECT md5(string_agg(j::text, ',' ORDER BY id)) FROM {production}.jobs j")
	if before != after {
		t.Error("the rows changed after the frozen worker woke")
	}
	if effects := ask[int](th, "SELECT count(*) FROM {ledger}.effects"); effects != 50 {
		t.Errorf("%d effects, want 50", effects)
	}
	th.check(50)
}

// thaw waits until the pod has begun a new epoch or ended.
func (p *pod) thaw() {
	p.th.t.Helper()
	p.th.until(p.name+" has found out that its lease is gone",
		"SELECT count(*) > 1 FROM {production}.workers WHERE pod = $1", p.name)
}

func TestHandlersThatHoldEveryConnectionDoNotStopHeartbeatsAndOutcomes(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	p := th.start("a", "active", "--worker.lease=9s")
	p.serves(th.production, "active")
	// In all, longer than the lease on every connection of the pool.
	th.enqueue(th.production, "hold", 20, 3*time.Second)
	th.untilDone(th.production)
	if lost := ask[int](th, "SELECT count(*) FROM {production}.workers WHERE state = 'lost'"); lost != 0 {
		t.Error("the worker lost its lease while handlers held every connection")
	}
	if done := ask[int](th, "SELECT count(*) FROM {production}.jobs WHERE state = 'completed' AND losses = 0"); done != 20 {
		t.Errorf("%d of 20 jobs were completed", done)
	}
}

func TestTheOtherVersionRescuesWithItsOwnLease(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	p := th.start("a", "active", shortLease, "--version=1.0")
	p.serves(th.production, "active")
	th.enqueue(th.production, "effect", 100, 300*time.Millisecond)
	th.until("some are done", "SELECT count(*) >= 10 FROM {ledger}.effects")
	p.kill()
	th.start("b", "active", "--worker.lease=60s", "--version=2.0")
	th.untilDone(th.production)
	if worked := ask[int](th, "SELECT count(DISTINCT worker_version) FROM {production}.jobs"); worked != 2 {
		t.Errorf("%d versions completed jobs, want both", worked)
	}
	th.check(100)
}
