package store_test

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/understudy-worker/understudy/internal/pgtest"
	"github.com/understudy-worker/understudy/store"
)

// file is a migration of the application's.
func file(sql string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(sql)} }

func TestTheApplicationsMigrationsRunInTheSameSchemaAfterOurs(t *testing.T) {
	t.Parallel()
	f := over(t, pgtest.Schema(t))
	files := fstest.MapFS{
		// Unqualified names are the schema's; public's come after.
		"10_effects.up.sql":   file("CREATE TABLE effects (job bigint); CREATE FUNCTION where_am_i() RETURNS text LANGUAGE sql AS 'SELECT current_setting(''search_path'')'"),
		"10_effects.down.sql": file("DROP TABLE effects"),
		"20_enqueue.up.sql":   file("INSERT INTO effects SELECT enqueue('a')"),
		"README.md":           file("no migration"),
	}
	if err := f.migrateWith(t, "", files); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, f, files, "current: version {ours}; application: current: version 20")
	if n := get[int](t, f, "SELECT count(*) FROM {schema}.effects JOIN {schema}.jobs ON id = job"); n != 1 {
		t.Errorf("%d jobs were enqueued by a migration", n)
	}
	// A later version of the application has one more.
	more := maps.Clone(files)
	more["30_more.up.sql"] = file("CREATE TABLE more AS SELECT current_setting('search_path') AS path")
	wantStatus(t, f, more, "current: version {ours}; application: behind: version 20, needed is 30")
	if err := f.migrateWith(t, "", more); err != nil {
		t.Fatal(err)
	}
	if path := get[string](t, f, "SELECT path FROM {schema}.more"); path != `"`+f.schema+`", public, pg_temp` {
		t.Errorf("a migration ran with the search path %s", path)
	}
	if n := get[int](t, f, "SELECT count(*) FROM {schema}.effects"); n != 1 {
		t.Errorf("a migration ran again: %d effects", n)
	}
	// The earlier one goes on beside it.
	if err := f.migrateWith(t, "", files); err != nil {
		t.Error(err)
	}
	if status := wantStatus(t, f, files, "current: version {ours}; application: ahead: version 30, needed is 20"); !status.Serves() {
		t.Error("a schema that is ahead does not serve")
	}
	// So does a worker without any.
	if status := wantStatus(t, f, nil, "current: version {ours}"); !status.Serves() {
		t.Error("a worker without migrations is not served")
	}
	f.wantNone(t, "the version tables have comments", `
		SELECT c.relname || '.' || a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
		WHERE relnamespace = $1::text::regnamespace AND relname LIKE '%\_migrations' AND attnum > 0
			AND (col_description(c.oid, attnum) IS NULL OR obj_description(c.oid, 'pg_class') IS NULL)`)
}

// failing are migrations of which the second fails in its second line, and
// others follow.
var failing = fstest.MapFS{
	"1_first.up.sql":  file("CREATE TABLE first (n int)"),
	"2_second.up.sql": file("CREATE TABLE second (n int);\nSELECT no_such_column FROM second;\nSELECT 1"),
	"3_third.up.sql":  file("CREATE TABLE third (n int)"),
	"4_fourth.up.sql": file("CREATE TABLE fourth (n int)"),
	"5_fifth.up.sql":  file("CREATE TABLE fifth (n int)"),
}

func (f *fixture) has(t *testing.T, table string) bool {
	t.Helper()
	return get[bool](t, f, "SELECT to_regclass('{schema}."+table+"') IS NOT NULL")
}

func TestAFailingMigrationOfTheApplicationIsRolledBackAndMarked(t *testing.T) {
	t.Parallel()
	f := over(t, pgtest.Schema(t))
	err := f.migrateWith(t, "", failing)
	wantError(t, err, `migrate schema "`+f.schema+`" with the application's migrations: migration 2_second: line 2: ERROR: column "no_such_column" does not exist`)
	if err != nil && strings.Contains(err.Error(), "CREATE TABLE") {
		t.Errorf("the error quotes the whole file: %v", err)
	}
	for table, want := range map[string]bool{"open_jobs": true, "first": true, "second": false, "third": false} {
		if f.has(t, table) != want {
			t.Errorf("table %s is there: %t", table, !want)
		}
	}
	status := wantStatus(t, f, failing, "current: version {ours}; application: dirty at version 2, needed is 5")
	if status.Serves() || !status.Dirty() {
		t.Errorf("status is %+v", status)
	}
	var dirty *store.DirtyError
	err = f.migrateWith(t, "", failing)
	if !errors.As(err, &dirty) {
		t.Errorf("error is %v", err)
	}
	wantError(t, err, `its migration 2 failed half-way`)
	wantError(t, err, `dirty to false in "`+f.schema+`".app_migrations`)
	if !f.has(t, "first") {
		t.Error("the schema was dropped")
	}

	// As the message says: it is mended, and goes on.
	f.exec(t, "UPDATE {schema}.app_migrations SET version = 1, dirty = false")
	mended := maps.Clone(failing)
	mended["2_second.up.sql"] = file("CREATE TABLE second (n int)")
	if err := f.migrateWith(t, "", mended); err != nil {
		t.Error(err)
	}
	wantStatus(t, f, mended, "current: version {ours}; application: current: version 5")
}

func TestAPreviewWhoseApplicationFailedIsMadeAnewEachTime(t *testing.T) {
	t.Parallel()
	f := over(t, pgtest.Schema(t))
	mark := store.PreviewMark("preview")
	for range 3 {
		wantError(t, f.migrateWith(t, mark, failing), "migration 2_second")
	}
	var log bytes.Buffer
	mended := maps.Clone(failing)
	mended["2_second.up.sql"] = file("CREATE TABLE second (n int)")
	err := store.Migrate(t.Context(), f.pool.Config().ConnConfig, store.MigrateOptions{
		Schema: f.schema, App: mended, Mark: mark, Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	wantStatus(t, f, mended, "current: version {ours}; application: current: version 5")
	if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "schema="+f.schema) {
		t.Errorf("the log says %q", log.String())
	}
}

func TestMigrationsThatCannotBeReadAreNamed(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	for name, c := range map[string]struct {
		files fs.FS
		says  string
	}{
		"no directory":      {fstest.MapFS{"a/1_x.up.sql": file("")}, ""},
		"version 0":         {fstest.MapFS{"0_init.up.sql": file("SELECT 1")}, "a file has the version 0: number them from 1"},
		"one version twice": {fstest.MapFS{"1_a.up.sql": file(""), "1_b.up.sql": file("")}, "read migrations: "},
		"not there":         {broken{}, "read migrations: "},
	} {
		_, err := store.Inspect(t.Context(), f.pool, f.schema, c.files)
		migrateErr := f.migrateWith(t, "", c.files)
		if c.says == "" {
			if err := errors.Join(err, migrateErr); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		wantError(t, err, c.says)
		wantError(t, migrateErr, c.says)
	}
}

// broken is a directory that is not there.
type broken struct{}

func (broken) Open(string) (fs.File, error) { return nil, fs.ErrNotExist }

func TestASchemaOfAnotherSeriesIsNotMigratedFurther(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	if err := f.migrateWith(t, "", fstest.MapFS{"1_a.up.sql": file("SELECT 1"), "2_b.up.sql": file("SELECT 1")}); err != nil {
		t.Fatal(err)
	}
	err := f.migrateWith(t, "", fstest.MapFS{"1_a.up.sql": file("SELECT 1"), "3_c.up.sql": file("CREATE TABLE theirs (n int)")})
	wantError(t, err, "the schema is at version 2, which none of the migrations has: it was migrated by another series")
	if f.has(t, "theirs") {
		t.Error("it was migrated all the same")
	}
}

func TestAnEmptyMigrationIsOne(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	files := fstest.MapFS{"1_empty.up.sql": file("  \n"), "2_comment.up.sql": file("-- nothing"), "3_windows.up.sql": file("SELECT 1;\r\n")}
	if err := f.migrateWith(t, "", files); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, f, files, "current: version {ours}; application: current: version 3")
}
