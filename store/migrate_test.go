package store_test

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-worker/understudy/internal/pgtest"
	"github.com/understudy-worker/understudy/migrations"
	"github.com/understudy-worker/understudy/store"
)

// wantStatus checks how far a schema is, in words.
func wantStatus(t testing.TB, f *fixture, app fs.FS, want string) store.MigrationStatus {
	t.Helper()
	status, err := store.Inspect(t.Context(), f.pool, f.schema, app)
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.ReplaceAll(want, "{ours}", ourLast(t)); status.String() != want {
		t.Errorf("the schema is %s, want %s", status, want)
	}
	return status
}

// ourLast is the version of our last migration, for which {ours} stands in what tests want.
func ourLast(t testing.TB) string {
	t.Helper()
	files, err := fs.Glob(migrations.Files, "*.up.sql")
	if err != nil {
		t.Fatal(err)
	}
	number, _, _ := strings.Cut(files[len(files)-1], "_")
	return strings.TrimLeft(number, "0")
}

// migrateWith migrates with a mark and an application's migrations.
func (f *fixture) migrateWith(t testing.TB, mark string, app fs.FS) error {
	t.Helper()
	return store.Migrate(t.Context(), f.pool.Config().ConnConfig, store.MigrateOptions{Schema: f.schema, Mark: mark, App: app})
}

func (f *fixture) comment(t testing.TB) string {
	t.Helper()
	return get[string](t, f, "SELECT coalesce(obj_description($1::text::regnamespace, 'pg_namespace'), '')", pgx.Identifier{f.schema}.Sanitize())
}

// wantKept checks that a job that was there before a migration still is.
func (f *fixture) wantKept(t testing.TB, id int64) {
	t.Helper()
	if _, err := f.Job(t.Context(), id); err != nil {
		t.Errorf("the schema was dropped: %v", err)
	}
}

func TestAMissingSchemaIsCreatedAndTheSecondMigrationChangesNothing(t *testing.T) {
	t.Parallel()
	f := over(t, pgtest.Schema(t))
	if status := wantStatus(t, f, nil, "missing"); status.Serves() || status.Dirty() || status.DirtyAhead() {
		t.Errorf("a missing schema is %+v", status)
	}
	if err := f.migrateWith(t, "", nil); err != nil {
		t.Fatal(err)
	}
	if status := wantStatus(t, f, nil, "current: version {ours}"); !status.Serves() || status.Dirty() {
		t.Errorf("a migrated schema is %+v", status)
	}
	if comment := f.comment(t); comment != "" {
		t.Errorf("a schema that is not a preview is marked %q", comment)
	}
	const all = `SELECT string_agg(oid || ' ' || xmin, ',' ORDER BY oid) FROM pg_class WHERE relnamespace = $1::text::regnamespace`
	before := get[string](t, f, all, f.schema)
	id := mustEnqueue(t, f, store.NewJob{Kind: "a"})
	if err := f.migrateWith(t, "", nil); err != nil {
		t.Fatal(err)
	}
	if after := get[string](t, f, all, f.schema); after != before {
		t.Errorf("the second migration changed the catalog from %s to %s", before, after)
	}
	f.wantKept(t, id)
}

func TestASchemaThatIsAheadIsLeftAsItIs(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	id := mustEnqueue(t, f, store.NewJob{Kind: "a"})
	mark := store.PreviewMark("preview")
	f.exec(t, "COMMENT ON SCHEMA {schema} IS '"+strings.ReplaceAll(mark, "'", "''")+"'")
	for _, c := range []struct {
		set, want  string
		dirtyAhead bool
	}{
		{"version = 99, dirty = false", "ahead: version 99, needed is {ours}", false},
		{"version = 99, dirty = true", "dirty at version 99, needed is {ours}", true},
	} {
		f.exec(t, "UPDATE {schema}.understudy_migrations SET "+c.set)
		if err := f.migrateWith(t, mark, nil); err != nil {
			t.Errorf("%s: %v", c.set, err)
		}
		status := wantStatus(t, f, nil, c.want)
		if !status.Serves() || status.Dirty() || status.DirtyAhead() != c.dirtyAhead {
			t.Errorf("%s: serves %t, dirty %t, dirty ahead %t", c.set, status.Serves(), status.Dirty(), status.DirtyAhead())
		}
		f.wantKept(t, id)
	}
}

func TestADirtySchemaIsDroppedOnlyWithTheMarkOfItsTarget(t *testing.T) {
	t.Parallel()
	mark := store.PreviewMark("preview")
	for name, c := range map[string]struct{ comment, mark string }{
		"production":                         {"", ""},
		"production, preview migrates":       {"", mark},
		"a preview of another target":        {store.PreviewMark("preview-2"), mark},
		"a preview, production migrates":     {mark, ""},
		"somebody's, with a similar comment": {mark + ".", mark},
	} {
		f := migrated(t)
		id := mustEnqueue(t, f, store.NewJob{Kind: "a"})
		f.exec(t, "COMMENT ON SCHEMA {schema} IS '"+c.comment+"'")
		for _, version := range []string{"1", "2"} {
			f.exec(t, "UPDATE {schema}.understudy_migrations SET dirty = true, version = "+version)
			err := f.migrateWith(t, c.mark, nil)
			var dirty *store.DirtyError
			if !errors.As(err, &dirty) || dirty.Schema != f.schema || !dirty.Status.Dirty() || dirty.Status.Serves() {
				t.Errorf("%s: error is %v", name, err)
			}
			wantError(t, err, `is dirty: its migration `+version+` failed half-way`)
			wantError(t, err, `dirty to false in "`+f.schema+`".understudy_migrations, and migrate again`)
			f.wantKept(t, id)
		}
		if comment := f.comment(t); comment != c.comment {
			t.Errorf("%s: the comment is now %q", name, comment)
		}
	}
}

func TestADirtyPreviewIsMadeAnew(t *testing.T) {
	t.Parallel()
	f := over(t, pgtest.Schema(t))
	mark := store.PreviewMark("it's a preview")
	if err := f.migrateWith(t, mark, nil); err != nil {
		t.Fatal(err)
	}
	for _, damage := range []string{
		"UPDATE {schema}.understudy_migrations SET dirty = true",
		"UPDATE {schema}.understudy_migrations SET dirty = true, version = 1",
		"TRUNCATE {schema}.understudy_migrations; INSERT INTO {schema}.understudy_migrations VALUES (1, true); DROP TABLE {schema}.claims CASCADE",
	} {
		mustEnqueue(t, f, store.NewJob{Kind: "a"})
		for statement := range strings.SplitSeq(damage, "; ") {
			f.exec(t, statement)
		}
		if err := f.migrateWith(t, mark, nil); err != nil {
			t.Fatalf("%s: %v", damage, err)
		}
		wantStatus(t, f, nil, "current: version {ours}")
		if n := get[int](t, f, "SELECT count(*) FROM {schema}.jobs"); n != 0 {
			t.Errorf("%d jobs outlived the schema", n)
		}
		if comment := f.comment(t); comment != mark {
			t.Errorf("the new schema is marked %q", comment)
		}
	}
}

func TestASchemaThatSomebodyElseCreatedIsNeverMarked(t *testing.T) {
	t.Parallel()
	f := over(t, pgtest.Schema(t))
	f.exec(t, "CREATE SCHEMA {schema}")
	f.exec(t, "CREATE TABLE {schema}.theirs (n int)")
	mark := store.PreviewMark("preview")
	if status := wantStatus(t, f, nil, "behind: version 0, needed is {ours}"); status.Serves() || !status.Exists {
		t.Errorf("an empty schema is %+v", status)
	}
	if err := f.migrateWith(t, mark, nil); err != nil {
		t.Fatal(err)
	}
	if comment := f.comment(t); comment != "" {
		t.Errorf("the schema was marked %q", comment)
	}
	f.exec(t, "UPDATE {schema}.understudy_migrations SET dirty = true")
	var dirty *store.DirtyError
	if err := f.migrateWith(t, mark, nil); !errors.As(err, &dirty) {
		t.Errorf("error is %v", err)
	}
	get[int](t, f, "SELECT count(*) FROM {schema}.theirs")
}

func TestALoginThatMayNotCreateTheSchemaIsToldSo(t *testing.T) {
	t.Parallel()
	f := over(t, pgtest.Schema(t))
	name, password := login(t, f)
	weak := f.withPool(t, loginConfig(f.pool, name, password))
	err := weak.migrateWith(t, "", nil)
	wantError(t, err, `create schema "`+f.schema+`" (the login needs CREATE on the database, or the schema must be there)`)
	wantError(t, err, "permission denied for database")

	f.exec(t, "CREATE SCHEMA {schema}")
	wantError(t, weak.migrateWith(t, "", nil), "permission denied for schema "+f.schema)
	_, err = store.Inspect(t.Context(), weak.pool, f.schema, nil)
	wantError(t, err, `inspect schema "`+f.schema+`"`)

	f.exec(t, "ALTER SCHEMA {schema} OWNER TO "+name)
	if err := weak.migrateWith(t, "", nil); err != nil {
		t.Errorf("the schema's owner cannot migrate: %v", err)
	}
}

func TestASchemasNameMayHoldAnyCharacter(t *testing.T) {
	t.Parallel()
	unique := strings.ToLower(rand.Text()[:10])
	for _, name := range []string{
		`preview-5f7c9d8b6 Ünder "study" it's {schema} $1 -- ` + unique, "SELECT " + unique, unique + strings.Repeat("x", 53),
	} {
		f := over(t, name)
		defer f.pool.Exec(context.Background(), f.sql("DROP SCHEMA {schema} CASCADE"))
		app := fstest.MapFS{"1_app.up.sql": {Data: []byte("CREATE TABLE theirs (n int)")}}
		if err := f.migrateWith(t, store.PreviewMark("preview"), app); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		wantStatus(t, f, app, "current: version {ours}; application: current: version 1")
		get[int](t, f, "SELECT count(*) FROM {schema}.theirs")
		wholeLife(t, f)
		l := listen(t, f.epoch(t))
		heard(t, "wake at the start", l.wakes)
		mustEnqueue(t, f, store.NewJob{Kind: "a"})
		heard(t, "wake of an enqueued job", l.wakes)
	}
}
