package tester_test

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// locked locks a table of production, so that nobody reads it, until unlock is called.
func (b *bench) locked(table string) (unlock func()) {
	b.t.Helper()
	tx, err := b.pool.Begin(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	unlock = func() { _ = tx.Rollback(context.Background()) }
	b.t.Cleanup(unlock)
	if _, err := tx.Exec(b.t.Context(), "LOCK TABLE "+pgx.Identifier{b.production, table}.Sanitize()); err != nil {
		b.t.Fatal(err)
	}
	return unlock
}

func TestASideWhoseJobsCannotBeCountedInTimeIsShownWithItsLastCounts(t *testing.T) {
	t.Parallel()
	b := newBench(t, usualTimeouts)
	b.epoch(b.production, "pod-one", "1.0", "active")
	b.enqueue(url.Values{"side": {"production"}, "kind": {"echo"}})
	var before, late side
	b.until("the job is counted", func() bool {
		before, _ = b.status()
		return before.Due == 1 && before.CountedAt != nil
	})
	defer b.locked("later")()
	b.until("the page says that the counts are old", func() bool {
		return strings.Contains(b.page(), "took longer than 2.0 s the last time, the server is busy")
	})
	b.until("the side is shown all the same", func() bool {
		late, _ = b.status()
		return late.Problem == nil && len(late.Workers) == 1
	})
	if late.Due != 1 || late.CountedAt == nil || late.CountedAt.Before(*before.CountedAt) {
		t.Errorf("while the jobs cannot be counted: %+v", late)
	}
	b.until("a look does not wait for a count", func() bool { // each would, if it counted
		began := time.Now()
		b.status()
		return time.Since(began) < 2*time.Second
	})
}

func TestASideWhoseJobsWereNeverCountedSaysSo(t *testing.T) {
	t.Parallel()
	b := newBench(t, usualTimeouts)
	defer b.locked("later")()
	b.until("production is looked at", func() bool {
		production, _ := b.status()
		if production.CountedAt != nil {
			t.Errorf("production: %+v", production)
		}
		return production.Problem == nil
	})
	b.contains("the page", b.page(), "Not counted yet", "<dt>due</dt><dd>–</dd>")
}

func TestAServerThatIsBusyIsNotCalledOneThatIsAway(t *testing.T) {
	t.Parallel()
	b := newBench(t, usualTimeouts)
	defer b.locked("workers")()
	b.until("production is called busy", func() bool {
		production, _ := b.status()
		p := production.Problem
		return p != nil && p.What == "It took longer than 2 s to answer: the server is busy." && !strings.Contains(p.Do, "Start")
	})
}

func TestJobsThatWaitAreCountedUpToALimit(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const limit = 100_000
	_, err := b.pool.Exec(t.Context(), "INSERT INTO "+pgx.Identifier{b.production, "ready"}.Sanitize()+
		" (queue, kind, priority, run_at, job_ids, requeues) SELECT 'default', 'echo', 1, now(), ARRAY[n], 0 FROM generate_series(1, $1::int) n", limit+1)
	if err != nil {
		t.Fatal(err)
	}
	production, _ := b.status()
	if production.Due != limit || len(production.More) != 1 || production.More[0] != "available" {
		t.Errorf("production: %+v", production)
	}
	b.contains("the page", b.page(), "<dt>due</dt><dd>100,000+</dd>")
}
