package app_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/understudy-worker/understudy/internal/kubelet"
	"github.com/understudy-worker/understudy/store"
)

func TestAPreviewMigratesItsOwnSchemaBeforeItsFirstClaim(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	p := th.start("a", "preview")
	p.serves(th.preview, "preview")
	th.enqueue(th.preview, "note", 10, 0)
	th.enqueue(th.production, "note", 10, 0)
	th.untilDone(th.preview)
	if waiting := ask[int](th, "SELECT count(*) FROM {production}.jobs WHERE state = 'available'"); waiting != 10 {
		t.Errorf("%d of 10 production jobs still wait", waiting)
	}
	th.check(10)
}

func TestEightProcessesRaceToMigrateOneNewPreviewSchema(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	var pods []*pod
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		pods = append(pods, th.start(name, "preview"))
	}
	for _, p := range pods {
		p.serves(th.preview, "preview")
	}
	th.enqueue(th.preview, "note", 200, 0)
	th.untilDone(th.preview)
	th.check(200)
}

func TestEachRevisionHasAPreviewSchemaOfItsOwn(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	th.preview += "_abc123" // what the pod's labels make of the template
	t.Cleanup(func() { th.exec("DROP SCHEMA IF EXISTS " + quoted(th.preview) + " CASCADE") })
	template := th.preview[:len(th.preview)-len("abc123")] + "{rollouts-pod-template-hash}"
	p := th.start("a", "preview", "--targets.preview.schema="+template)
	p.serves(th.preview, "preview")
	th.enqueue(th.preview, "note", 1, 0)
	th.untilDone(th.preview)
	p.kill()
	p.noSessions("preview") // none is in the way of the schema's end
}

// dirty marks the last migration of a schema as failed half-way.
func (th *theatre) dirty(schema string) {
	th.t.Helper()
	th.exec("UPDATE " + quoted(schema) + ".understudy_migrations SET dirty = true")
}

func TestADirtyPreviewIsMadeAnew(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	p := th.start("a", "preview")
	p.serves(th.preview, "preview")
	p.role("")
	p.noSessions("preview")
	th.enqueue(th.preview, "note", 1, 0)
	th.dirty(th.preview)
	p.role("preview")
	p.serves(th.preview, "preview")
	if left := ask[int](th, "SELECT count(*) FROM {preview}.jobs"); left != 0 {
		t.Errorf("%d jobs are left of the dirty schema", left)
	}
}

func TestASchemaWithoutOurMarkIsNeverDropped(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	th.migrate(th.preview) // by somebody else: without the mark
	th.enqueue(th.preview, "note", 3, 0)
	th.dirty(th.preview)
	p := th.start("a", "preview")
	p.until("it says what is wrong", func() bool { return p.log.contains("is dirty: its migration") })
	if kept := ask[int](th, "SELECT count(*) FROM {preview}.jobs WHERE state = 'available'"); kept != 3 {
		t.Errorf("%d of 3 jobs are left", kept)
	}
	th.exec("UPDATE " + quoted(th.preview) + ".understudy_migrations SET dirty = false")
	th.untilDone(th.preview) // mended by hand, and served without a restart
	th.check(3)
}

func TestADirtyProductionIsNotServedAndNotTouched(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	th.enqueue(th.production, "note", 3, 0)
	th.dirty(th.production)
	p := th.start("a", "active")
	p.until("it says so", func() bool { return p.log.contains("dirty at version") })
	if kept := ask[int](th, "SELECT count(*) FROM {production}.jobs WHERE state = 'available'"); kept != 3 {
		t.Errorf("%d of 3 jobs still wait", kept)
	}
}

func TestADatabaseThatIsAheadAndCleanIsServed(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	th.exec("UPDATE " + quoted(th.production) + ".understudy_migrations SET version = 9999")
	th.start("a", "active")
	th.enqueue(th.production, "note", 3, 0)
	th.untilDone(th.production)
	th.check(3)
}

func TestALaterVersionsFailedMigrationDoesNotStopThisOne(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	th.exec("UPDATE " + quoted(th.production) + ".understudy_migrations SET version = 9999, dirty = true")
	p := th.start("a", "active")
	th.enqueue(th.production, "note", 3, 0)
	th.untilDone(th.production)
	th.check(3)
	if !p.log.contains("a migration of a later version failed half-way") {
		t.Error("it does not warn")
	}
}

func TestTheApplicationsOwnMigrationsRunInThePreviewToo(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	dir := t.TempDir()
	write := func(name, sql string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(sql), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("1_orders.up.sql", "CREATE TABLE orders (id bigint PRIMARY KEY)")
	write("2_notes.up.sql", "ALTER TABLE orders ADD note text")
	p := th.start("a", "preview", "--targets.preview.app_migrations="+dir)
	p.serves(th.preview, "preview")
	if n := ask[int](th, "SELECT count(note) FROM {preview}.orders"); n != 0 {
		t.Errorf("%d orders", n)
	}
	if version := ask[int](th, "SELECT version FROM {preview}.app_migrations"); version != 2 {
		t.Errorf("the application's migrations are at version %d", version)
	}
}

func TestTheFileOfTheMigrationsDSNIsReadForEachMigrationAndForNothingElse(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	config := th.pool.Config().ConnConfig
	secret := kubelet.New(filepath.Join(t.TempDir(), "owner"))
	write := func(dsn string) {
		t.Helper()
		if err := secret.Write(map[string]string{"dsn": dsn}); err != nil {
			t.Fatal(err)
		}
	}
	write(fmt.Sprintf("host=%s port=%d user=nobody_at_all password=hunter2 dbname=%s", config.Host, config.Port, config.Database))
	p := th.start("v2", "preview", "--targets.preview.migrate_dsn_file="+filepath.Join(secret.Dir(), "dsn"))
	p.until("it names the key of the login that is refused", func() bool { return p.log.contains("the password in targets.preview.migrate_dsn_file") })
	write(th.dsn)
	p.serves(th.preview, "preview")
	write("nonsense")
	p.role("active")
	p.serves(th.production, "active")
	p.role("preview")
	p.until("it serves the preview a second time", func() bool {
		return ask[int](th, "SELECT count(*) FROM {preview}.workers WHERE pod = $1 AND role = 'preview'", p.name) == 2
	})
	if p.log.contains("hunter2") || p.log.contains("nonsense") {
		t.Error("what is in the file is logged")
	}
}

func TestBothVersionsActiveAtOnceShareTheJobs(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	old, next := th.start("old", "active", "--version=1.0"), th.start("new", "active", "--version=2.0")
	old.serves(th.production, "active")
	next.serves(th.production, "active")
	th.enqueue(th.production, "effect", 500, 20*time.Millisecond)
	th.untilDone(th.production)
	if pods := ask[int](th, "SELECT count(DISTINCT pod) FROM {ledger}.effects"); pods != 2 {
		t.Errorf("%d pods worked, want 2", pods)
	}
	if attempts := ask[int](th, "SELECT count(*) FROM {ledger}.ledger"); attempts != 500 {
		t.Errorf("500 jobs took %d attempts", attempts)
	}
	th.check(500)
}

func TestAFastRollbackHandsProductionBackToTheVersionThatStillRuns(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	th.migrate(th.preview)
	old, next := th.start("old", "active", "--version=1.0"), th.start("new", "preview", "--version=2.0")
	old.serves(th.production, "active")
	next.serves(th.preview, "preview")
	enqueued := 0
	keepEnqueueing := func() {
		th.enqueue(th.production, "slow", 100, 20*time.Millisecond)
		enqueued += 100
	}
	keepEnqueueing()
	// Promoted: the new one is active, then the old one's key is gone.
	next.role("active")
	old.role("")
	keepEnqueueing()
	next.serves(th.production, "active")
	old.noSessions("production")
	keepEnqueueing()
	// Undone within the scale-down delay: the old one is preview for a moment,
	// then active, and the new one's key is gone.
	old.role("preview")
	old.role("active")
	next.role("")
	keepEnqueueing()
	old.serves(th.production, "active")
	next.noSessions("production")
	keepEnqueueing()
	th.untilDone(th.production)
	if odd := ask[int](th, "SELECT count(*) FROM {production}.jobs WHERE state <> 'completed' OR attempt <> 1 OR losses <> 0"); odd != 0 {
		t.Errorf("%d jobs were lost or charged", odd)
	}
	if last := ask[string](th, "SELECT worker_version FROM {production}.jobs ORDER BY finalized_at DESC LIMIT 1"); last != "1.0" {
		t.Errorf("the last job was worked by %s", last)
	}
	th.check(enqueued)
}

func TestAJobsCancellationReachesTheHandlerThatRunsIt(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	p := th.start("a", "active")
	p.serves(th.production, "active")
	ids := th.enqueue(th.production, "slow", 2, time.Minute)
	th.until("they run", "SELECT count(*) = 2 FROM {ledger}.ledger")
	s, err := store.New(th.pool, th.production)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if state, err := s.Cancel(t.Context(), id); err != nil || state != "running" {
			t.Fatalf("cancel said %s, %v", state, err)
		}
	}
	th.untilDone(th.production)
	if cancelled := ask[int](th, "SELECT count(*) FROM {production}.jobs WHERE state = 'cancelled' AND attempt = 1"); cancelled != 2 {
		t.Errorf("%d of 2 jobs were cancelled", cancelled)
	}
}

func TestAWorkerRecoversFromEveryConnectionBeingCut(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	p := th.start("a", "active")
	p.serves(th.production, "active")
	th.enqueue(th.production, "effect", 300, 20*time.Millisecond)
	for range 5 {
		th.until("jobs run", "SELECT count(*) > 10 FROM {ledger}.effects")
		th.exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE $1 || '%'", p.application("production"))
	}
	th.untilDone(th.production)
	if effects := ask[int](th, "SELECT count(*) FROM {ledger}.effects"); effects != 300 {
		t.Errorf("%d of 300 effects", effects)
	}
	th.checkEffects()
}
