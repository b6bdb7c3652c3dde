package integration_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// slowMigrations are the application's migrations of the ledger worker, and
// one that takes a while and says so.
func slowMigrations(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "migrations")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("worker", "migrations"))); err != nil {
		t.Fatal(err)
	}
	slow := "CREATE TABLE first ();\nSELECT pg_sleep(2);\nCREATE TABLE second ();\n"
	if err := os.WriteFile(filepath.Join(dir, "0002_slow.up.sql"), []byte(slow), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// untilSleeps waits until the slow migration is under way.
func (th *theatre) untilSleeps(pl *place) {
	th.t.Helper()
	th.untilSQL(pl, "a migration is under way", `SELECT EXISTS (SELECT FROM pg_stat_activity
		WHERE datname = current_database() AND state = 'active' AND wait_event = 'PgSleep' AND pid <> pg_backend_pid())`)
}

func TestAPreviewIsMigratedThoughTheServerGoesDownInTheMiddle(t *testing.T) {
	t.Parallel()
	th := onOwnServer(t)
	migrations := "--targets.preview.app_migrations=" + slowMigrations(t)
	pods := []*pod{th.start("a", "preview", migrations), th.start("b", "preview", migrations), th.start("c", "preview", migrations)}
	for _, how := range shutdowns {
		th.untilSleeps(th.preview())
		th.restart(how)
	}
	th.untilSleeps(th.preview())
	th.do(th.preview().terminateAll(t.Context()))
	for _, p := range pods {
		th.untilServes(p, th.preview(), "preview")
	}
	th.untilSQL(th.preview(), "the migration is whole", "SELECT to_regclass('{schema}.first') IS NOT NULL AND to_regclass('{schema}.second') IS NOT NULL")
	th.enqueue(th.preview(), "effect", 20, 0)
	th.untilDone(th.preview())
	th.check()
}

func TestProductionThatWentDownInTheMiddleOfAMigrationSaysWhatToDoAndIsRepaired(t *testing.T) {
	t.Parallel()
	th := onOwnServer(t)
	p := th.start("a", "active")
	th.untilServes(p, th.production(), "active")
	up := []string{"migrate", "up", "--target=production", "--targets.production.app_migrations=" + slowMigrations(t)}
	for _, how := range shutdowns {
		failed := make(chan error, 1)
		go func() { failed <- th.command(up...) }()
		th.untilSleeps(th.production())
		th.restart(how)
		err := <-failed
		if err == nil {
			t.Fatalf("%s: the migration succeeded though its server went down", how)
		}
		for _, advice := range []string{"migration 2_slow", "understudy migrate status --target production"} {
			if !strings.Contains(err.Error(), advice) {
				t.Errorf("%s: the error does not say %q: %v", how, advice, err)
			}
		}
		th.enqueue(th.production(), "effect", 10, 0)
		th.untilDone(th.production()) // the version that runs goes on: it needs no more than it has
		err = th.command(up...)
		if err == nil {
			t.Fatalf("%s: a file that was cut off was taken for whole, or run again by itself", how)
		}
		th.repair(err.Error())
	}
	th.do(th.command(up...))
	th.untilSQL(th.production(), "the migration is whole", "SELECT to_regclass('{schema}.first') IS NOT NULL AND to_regclass('{schema}.second') IS NOT NULL")
	th.check()
}

// repair does what the error of a migration says: nothing of the file took
// effect, since it is one transaction.
func (th *theatre) repair(complaint string) {
	th.t.Helper()
	const table, last = `"production".app_migrations`, 1
	for _, advice := range []string{"dirty", "set version to the last one that is whole and dirty to false in " + table} {
		if !strings.Contains(complaint, advice) {
			th.t.Errorf("the error does not say %q: %s", advice, complaint)
		}
	}
	var whole bool
	ctx := th.t.Context()
	th.do(th.production().pool.QueryRow(ctx, "SELECT to_regclass('production.first') IS NOT NULL").Scan(&whole))
	if whole {
		th.t.Error("half of a file took effect")
	}
	_, err := th.production().pool.Exec(ctx, "UPDATE "+table+" SET version = $1, dirty = false", last)
	th.do(err)
}
