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
	b := newBench(t)
	b.epoch(b.production, "pod-one", "1.0", "active")
	b.enqueue(url.Values{"side": {"production"}, "kind": {"echo"}})
	before, _ := b.status()
	if before.Due != 1 || before.CountedAt == nil {
		t.Fatalf("before: %+v", before)
	}
	unlock := b.locked("later")
	var late side
	for deadline := time.Now().Add(patience); ; { // the first count may have taken its time
		late, _ = b.status()
		if strings.Contains(b.page(), "took longer than 2.0 s the last time, the server is busy") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the page does not say that the counts are old: %s", b.page())
		}
	}
	if late.Problem != nil || len(late.Workers) != 1 || late.Due != 1 || late.CountedAt == nil || late.CountedAt.Before(*before.CountedAt) {
		t.Errorf("while the jobs cannot be counted: %+v", late)
	}
	began := time.Now()
	again, _ := b.status()
	if took := time.Since(began); took >= 2*time.Second || !again.CountedAt.Equal(*late.CountedAt) {
		t.Errorf("they were counted again at once: it took %s, counted at %v and %v", took, late.CountedAt, again.CountedAt)
	}
	unlock()
}

func TestASideWhoseJobsWereNeverCountedSaysSo(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	defer b.locked("later")()
	production, _ := b.status()
	if production.Problem != nil || production.CountedAt != nil {
		t.Errorf("production: %+v", production)
	}
	b.contains("the page", b.page(), "Not counted yet", "<dt>due</dt><dd>–</dd>")
}

func TestAServerThatIsBusyIsNotCalledOneThatIsAway(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	defer b.locked("workers")()
	production, _ := b.status()
	if p := production.Problem; p == nil || p.What != "It took longer than 2 s to answer: the server is busy." || strings.Contains(p.Do, "Start") {
		t.Errorf("production: %+v", p)
	}
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
