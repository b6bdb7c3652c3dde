package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-worker/understudy/internal/pgtest"
	"github.com/understudy-worker/understudy/store"
)

// rename renames the fixture's schema and returns it under the new name.
func (f *fixture) rename(t *testing.T, name string) *fixture {
	t.Helper()
	f.exec(t, "ALTER SCHEMA {schema} RENAME TO "+pgx.Identifier{name}.Sanitize())
	s, err := store.New(f.pool, name)
	if err != nil {
		t.Fatal(err)
	}
	return &fixture{s, f.pool, name}
}

func TestASchemaThatWasRenamedIsRefusedUntilItIsMigrated(t *testing.T) {
	t.Parallel()
	for name, suffix := range map[string]string{"plain": "_shop", "quoted": `_My "Shop", pg_temp`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			was := migrate(t, pgtest.Pool(t), pgtest.Schema(t))
			mustEnqueue(t, was, store.NewJob{Kind: "before"})
			f := was.rename(t, was.schema[10:]+suffix)
			t.Cleanup(func() {
				if _, err := f.pool.Exec(context.Background(), f.sql("DROP SCHEMA IF EXISTS {schema} CASCADE")); err != nil {
					t.Error(err)
				}
			})
			// An application's function of one of our names is no function of ours, nor is one that only looks alike.
			f.exec(t, "CREATE FUNCTION {schema}.cancel(uuid, int) RETURNS int LANGUAGE sql SET search_path = elsewhere, public, pg_temp RETURN 1")
			f.exec(t, "CREATE FUNCTION {schema}.theirs() RETURNS int LANGUAGE sql SET search_path = elsewhere, pg_temp RETURN 1")
			migrate(t, was.pool, was.schema) // another, of the name of before
			status := wantStatus(t, f, nil, "current: version {ours}; its functions act on schema \""+was.schema+"\", whose name they keep since it was renamed or copied")
			if status.Serves() || status.BoundTo != was.schema {
				t.Errorf("it is served: %+v", status)
			}
			var bound *store.BoundError
			if err := store.CheckAccess(t.Context(), f.pool, f.schema); !errors.As(err, &bound) || *bound != (store.BoundError{Schema: f.schema, To: was.schema}) {
				t.Errorf("error %v", err)
			}
			for range 2 {
				if err := f.migrateWith(t, "", nil); err != nil {
					t.Fatal(err)
				}
				wantStatus(t, f, nil, "current: version {ours}")
			}
			if err := store.CheckAccess(t.Context(), f.pool, f.schema); err != nil {
				t.Error(err)
			}
			wholeLife(t, f.cleared(t))
			if n := get[int](t, was, "SELECT count(*) FROM {schema}.jobs"); n != 0 {
				t.Errorf("%d jobs came into the schema of the name of before", n)
			}
			if theirs := get[string](t, f, "SELECT string_agg(proconfig::text, ' ') FROM pg_proc WHERE pronamespace = $1::text::regnamespace AND proname IN ('cancel', 'theirs') AND pronargs <> 1 AND prorettype = 'int'::regtype",
				pgx.Identifier{f.schema}.Sanitize()); strings.Count(theirs, "elsewhere") != 2 {
				t.Errorf("the application's functions have %s", theirs)
			}
			again := f.rename(t, pgtest.Schema(t))
			if status, err := store.Inspect(t.Context(), f.pool, again.schema, nil); err != nil || status.BoundTo != f.schema {
				t.Errorf("renamed again it is %+v, error %v", status, err)
			}
		})
	}
}

// cleared is the schema without the jobs of before.
func (f *fixture) cleared(t *testing.T) *fixture {
	t.Helper()
	f.exec(t, "TRUNCATE {schema}.open_jobs, {schema}.ready")
	return f
}

func TestWhatARenamedPreviewCarriesGoesWithIt(t *testing.T) {
	t.Parallel()
	f := over(t, pgtest.Schema(t))
	mark := store.PreviewMark(f.schema)
	if err := f.migrateWith(t, mark, nil); err != nil {
		t.Fatal(err)
	}
	reader, _ := login(t, f)
	f.exec(t, "ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO "+reader)
	g := f.rename(t, pgtest.Schema(t))
	if err := g.migrateWith(t, mark, nil); err != nil {
		t.Fatal(err)
	}
	if got := g.comment(t); got != mark {
		t.Errorf("its mark is %q", got)
	}
	g.exec(t, "CREATE TABLE {schema}.later_on (n int)")
	if !get[bool](t, g, "SELECT has_table_privilege($1, '{schema}.later_on', 'SELECT')", reader) {
		t.Error("its default privileges are gone")
	}
	// Workers listen where its functions notify.
	q := g.epoch(t)
	l := listen(t, q)
	heard(t, "that it listens", l.wakes)
	get[int64](t, g, "SELECT {schema}.enqueue('a')")
	heard(t, "that a job is due", l.wakes)
}
