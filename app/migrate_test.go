package app_test

import (
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-worker/understudy/migrations"
)

// migrated is what migrate -o json prints.
type migrated struct {
	Target, Schema          string
	Exists, Serves, Changed bool
	Left                    bool
	Problem                 string
	Series                  []struct {
		Name, State     string
		Version, Needed uint
		From            *uint
	}
}

// states are the states of the worker's own series and of the application's.
func (m migrated) states() []string { return []string{m.Series[0].State, m.Series[1].State} }

// ours puts the version of our last migration into a text.
func ours(text string) string {
	files, _ := fs.Glob(migrations.Files, "*.up.sql")
	number, _, _ := strings.Cut(files[len(files)-1], "_")
	return strings.ReplaceAll(text, "{ours}", strings.TrimLeft(number, "0"))
}

func TestMigrateUpSaysFromWhereToWhere(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	if out := s.ok("migrate", "up"); out != "schema \""+s.production+ours("\": created: understudy 0 → {ours}\n") {
		t.Errorf("printed %q", out)
	}
	if out := s.ok("migrate", "up"); !strings.Contains(out, ours("nothing to do: current: version {ours}")) {
		t.Errorf("printed %q the second time", out)
	}
	s.options.Migrations = fstest.MapFS{"7_app.up.sql": {Data: []byte("CREATE TABLE theirs (id int);")}}
	if out := s.ok("migrate", "up"); !strings.Contains(out, ours("migrated: understudy {ours} → {ours}, application 0 → 7")) {
		t.Errorf("printed %q with the application's migrations", out)
	}
	s.exec("SELECT id FROM {production}.theirs")
	again := parsed[migrated](s, "migrate", "up")
	if again.Changed || !again.Serves || *again.Series[1].From != 7 || again.Series[1].Version != 7 || again.Target != "production" {
		t.Errorf("as JSON: %+v", again)
	}
}

func TestMigrateUpTakesADSNWithThePoolsSettings(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	dsn, err := url.Parse(s.dsn)
	if err != nil {
		t.Fatal(err)
	}
	query := dsn.Query()
	query.Set("pool_max_conns", "4")
	dsn.RawQuery = query.Encode()
	s.ok("migrate", "up", "--targets.production.dsn="+dsn.String())
}

func TestMigrateUpInitialSetsUpWhatNoWorkerHasWorkedIn(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	s.exec("CREATE SCHEMA {production}")
	if out := s.ok("migrate", "up", "--initial"); out != "schema \""+s.production+ours("\": migrated: understudy 0 → {ours}\n") {
		t.Errorf("printed %q", out)
	}
	s.options.Migrations = fstest.MapFS{"7_app.up.sql": {Data: []byte("CREATE TABLE theirs (id int);")}}
	got := parsed[migrated](s, "migrate", "up", "--initial")
	if !got.Changed || !got.Serves || got.Left || got.Series[1].Version != 7 {
		t.Errorf("as JSON: %+v", got)
	}
	if out := s.ok("migrate", "up", "--initial"); !strings.Contains(out, ours("nothing to do: current: version {ours}")) {
		t.Errorf("printed %q the second time", out)
	}
	s.exec("UPDATE {production}.app_migrations SET dirty = true")
	s.fails(1, []string{"is dirty: its migration 7 failed half-way", "app_migrations, and migrate again"}, "migrate", "up", "--initial")
	s.exec("UPDATE {production}.app_migrations SET version = 8")
	s.fails(1, []string{"dirty at version 8", "let that version's migrate up finish or repair it"}, "migrate", "up", "--initial")
}

func TestMigrateUpInitialLeavesWhatAWorkerHasWorkedInAndSaysWhy(t *testing.T) {
	t.Parallel()
	s := migratedShell(t)
	s.hand(s.production, "pod-1", "")
	why := ": left as it is, since a worker has worked in it: --initial only sets up new ones, migrate up without it goes on\n"
	check := func(serves bool, status string) {
		t.Helper()
		if out := s.ok("migrate", "up", "--initial"); out != "schema \""+s.production+"\" is "+status+why {
			t.Errorf("printed %q, want %s", out, status)
		}
		got := parsed[migrated](s, "migrate", "up", "--initial")
		if !got.Left || got.Changed || got.Serves != serves || *got.Series[0].From != got.Series[0].Version || *got.Series[1].From != got.Series[1].Version {
			t.Errorf("%s as JSON: %+v", status, got)
		}
	}
	s.options.Migrations = fstest.MapFS{"7_app.up.sql": {Data: []byte("CREATE TABLE theirs (id int);")}}
	check(false, ours("current: version {ours}; application: behind: version 0, needed is 7"))
	s.ok("migrate", "up")
	s.exec("UPDATE {production}.app_migrations SET dirty = true")
	check(false, ours("current: version {ours}; application: dirty at version 7, needed is 7"))
	s.exec("UPDATE {production}.app_migrations SET version = 8")
	check(true, ours("current: version {ours}; application: dirty at version 8, needed is 7"))
	s.exec("UPDATE {production}.app_migrations SET dirty = false")
	if out := s.ok("migrate", "up", "--initial"); !strings.Contains(out, ours("nothing to do: current: version {ours}; application: ahead: version 8")) {
		t.Errorf("printed %q", out)
	}
}

func TestMigrateStatusHasALineForEachSeries(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	check := func(exists, serves bool, states ...string) {
		t.Helper()
		got := parsed[migrated](s, "migrate", "status")
		if got.Exists != exists || got.Serves != serves {
			t.Errorf("exists %v, serves %v; want %v, %v", got.Exists, got.Serves, exists, serves)
		}
		if diff := cmp.Diff(states, got.states()); diff != "" {
			t.Errorf("states (-want +got):\n%s", diff)
		}
		lines := strings.Split(strings.TrimSpace(s.ok("migrate", "status")), "\n")
		if len(lines) != 3 || !strings.Contains(lines[1], states[0]) || !strings.Contains(lines[2], states[1]) {
			t.Errorf("printed %q", lines)
		}
	}
	check(false, false, "missing", "none")
	s.options.Migrations = fstest.MapFS{"1_app.up.sql": {Data: []byte("CREATE TABLE theirs (id int);")}}
	check(false, false, "missing", "missing")
	s.ok("migrate", "up")
	check(true, true, "current", "current")
	s.options.Migrations = fstest.MapFS{"2_app.up.sql": {Data: []byte("SELECT 1;")}}
	check(true, false, "current", "behind")
	s.exec("UPDATE {production}.understudy_migrations SET version = 99")
	check(true, false, "ahead", "behind")
	s.exec("UPDATE {production}.app_migrations SET dirty = true")
	check(true, false, "ahead", "dirty")
}

func TestMigrateUpIsDoneOnASchemaThatIsAheadAndClean(t *testing.T) {
	t.Parallel()
	s := migratedShell(t)
	s.exec("UPDATE {production}.understudy_migrations SET version = 99")
	if out := s.ok("migrate", "up"); !strings.Contains(out, ours("nothing to do: ahead: version 99, needed is {ours}")) {
		t.Errorf("printed %q", out)
	}
}

func TestADirtySchemaIsNotMigratedButSaysWhatToDo(t *testing.T) {
	t.Parallel()
	s := migratedShell(t)
	s.exec("UPDATE {production}.understudy_migrations SET dirty = true")
	s.fails(1, []string{"is dirty", "understudy_migrations", "migrate again"}, "migrate", "up")
	s.exec("UPDATE {production}.understudy_migrations SET version = 99")
	s.fails(1, []string{"dirty at version 99", "later version"}, "migrate", "up")
	s.ok("migrate", "status")
}

func TestADirtyPreviewIsMadeAnewByMigrateUp(t *testing.T) {
	t.Parallel()
	s := migratedShell(t, "preview")
	s.enqueue("echo", "--target=preview")
	s.exec("UPDATE {preview}.understudy_migrations SET dirty = true")
	r := s.run("migrate", "up", "--target=preview")
	if r.code != 0 || !strings.Contains(r.out, ours("was dirty, made anew: understudy 0 → {ours}")) {
		t.Errorf("exit code %d, printed %q and %q", r.code, r.out, r.err)
	}
	if got := s.jobs("--target=preview"); len(got) != 0 {
		t.Errorf("%d jobs outlived the schema", len(got))
	}
}

func TestASchemaOfProductionIsNeverMadeAnewInPreviewsName(t *testing.T) {
	t.Parallel()
	s := migratedShell(t)
	s.enqueue("echo")
	s.exec("UPDATE {production}.understudy_migrations SET dirty = true")
	s.fails(1, []string{"is dirty"}, "migrate", "up", "--target=preview", "--schema="+s.production)
	if got := s.jobs(); len(got) != 1 {
		t.Errorf("%d jobs are left, want 1", len(got))
	}
}

func TestAFailedMigrationNamesItsFileAndLineInOneLine(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	dir := t.TempDir()
	write := func(sql string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "3_app.up.sql"), []byte(sql), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("CREATE TABLE a (id int);\nSELECT nothing FROM nowhere;\n-- text of the file\n")
	s.environ = append(s.environ, "UNDERSTUDY_TARGETS__PRODUCTION__APP_MIGRATIONS="+dir, "UNDERSTUDY_TARGETS__PREVIEW__APP_MIGRATIONS="+dir)
	want := []string{"with the application's migrations: migration 3_app: line 2: ", `relation "nowhere" does not exist`}
	s.fails(1, append(want, "app_migrations, and migrate again"), "migrate", "up")
	s.fails(1, append(want, "mend it and run migrate up again"), "migrate", "up", "--target=preview")
	if r := s.run("migrate", "up", "--target=preview"); strings.Contains(r.err, "text of the file") {
		t.Errorf("the error quotes the whole file: %s", r.err)
	}
	write("CREATE TABLE a (id int);")
	s.ok("migrate", "up", "--target=preview")
	s.fails(1, []string{"is dirty"}, "migrate", "up")
}

func TestMigrateSaysWhereIDsWouldBeGivenTwiceAndWhatToRun(t *testing.T) {
	t.Parallel()
	s := migratedShell(t)
	s.exec("SELECT {production}.enqueue('mail')")
	s.exec("ALTER SEQUENCE {production}.open_jobs_id_seq RESTART") // as logical replication leaves it
	says := `ids would be given twice; with the login of its owner, run: SELECT setval(pg_get_serial_sequence(`
	s.fails(1, []string{says}, "migrate", "up")
	if out := s.ok("migrate", "status"); !strings.Contains(out, says) {
		t.Errorf("status printed %q", out)
	}
	if got := parsed[migrated](s, "migrate", "status"); !strings.Contains(got.Problem, says) {
		t.Errorf("status as JSON has the problem %q", got.Problem)
	}
	s.exec("SELECT setval(pg_get_serial_sequence('{production}.open_jobs', 'id'), (SELECT max(id) FROM {production}.jobs))")
	s.ok("migrate", "up")
	if out := s.ok("migrate", "status"); strings.Contains(out, "twice") {
		t.Errorf("status printed %q once it is mended", out)
	}
}
