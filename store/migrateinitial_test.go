package store_test

import (
	"errors"
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/understudy-worker/understudy/internal/pgtest"
	"github.com/understudy-worker/understudy/store"
)

// initially migrates as what sets a schema up does, in sessions that are named
// like the schema.
func (f *fixture) initially(t testing.TB, app fs.FS) error {
	t.Helper()
	config := f.pool.Config().ConnConfig
	config.RuntimeParams["application_name"] = f.schema
	return store.Migrate(t.Context(), config, store.MigrateOptions{Schema: f.schema, App: app, Initial: true})
}

func wantWorked(t testing.TB, f *fixture, want bool) {
	t.Helper()
	if worked, err := store.Worked(t.Context(), f.pool, f.schema); err != nil || worked != want {
		t.Errorf("worked in is %t, %v; want %t", worked, err, want)
	}
}

// firsts and seconds are migrations of a first and a second version.
var (
	firsts  = fstest.MapFS{"1_a.up.sql": {Data: []byte("CREATE TABLE a (n int)")}}
	seconds = fstest.MapFS{"1_a.up.sql": firsts["1_a.up.sql"], "2_b.up.sql": {Data: []byte("CREATE TABLE b (n int)")}}
)

func TestWhatNoWorkerHasWorkedInIsMigratedInitially(t *testing.T) {
	t.Parallel()
	f := over(t, pgtest.Schema(t))
	wantWorked(t, f, false)
	f.exec(t, "CREATE SCHEMA {schema}") // as an administrator does who makes the logins
	wantWorked(t, f, false)
	// What was cut short goes on, and so does what a version migrated that never came to work.
	for _, app := range []fs.FS{nil, firsts, seconds} {
		if err := f.initially(t, app); err != nil {
			t.Fatal(err)
		}
		wantWorked(t, f, false)
	}
	wantStatus(t, f, seconds, "current: version {ours}; application: current: version 2")
	f.exec(t, "UPDATE {schema}.app_migrations SET dirty = true")
	var dirty *store.DirtyError
	if err := f.initially(t, seconds); !errors.As(err, &dirty) {
		t.Errorf("a first migration that failed half-way: %v", err)
	}
}

func TestWhatAWorkerHasWorkedInIsLeftInitially(t *testing.T) {
	t.Parallel()
	f := over(t, pgtest.Schema(t))
	if err := f.initially(t, firsts); err != nil {
		t.Fatal(err)
	}
	if err := f.epoch(t).End(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantWorked(t, f, true)
	for set, want := range map[string]string{
		"version = 1, dirty = false":  "current: version {ours}; application: behind: version 1, needed is 2",
		"version = 1, dirty = true":   "current: version {ours}; application: dirty at version 1, needed is 2",
		"version = 2, dirty = true":   "current: version {ours}; application: dirty at version 2, needed is 2",
		"version = 99, dirty = false": "current: version {ours}; application: ahead: version 99, needed is 2",
		"version = 99, dirty = true":  "current: version {ours}; application: dirty at version 99, needed is 2",
	} {
		f.exec(t, "UPDATE {schema}.app_migrations SET "+set)
		if err := f.initially(t, seconds); err != nil {
			t.Errorf("%s: %v", set, err)
		}
		wantStatus(t, f, seconds, want)
	}
	f.exec(t, "UPDATE {schema}.app_migrations SET version = 1, dirty = false")
	if err := f.migrateWith(t, "", seconds); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, f, seconds, "current: version {ours}; application: current: version 2")
}

func TestAnInitialMigrationThatWaitedLooksAgainBeforeItMigrates(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		meanwhile func(f *fixture)
		want      string
	}{
		"nobody has worked": {func(*fixture) {}, "current: version {ours}; application: current: version 2"},
		"a worker has":      {func(f *fixture) { f.epoch(t) }, "current: version {ours}; application: behind: version 1, needed is 2"},
	} {
		f := over(t, pgtest.Schema(t))
		files := fstest.MapFS{}
		h := holdMigration(t, f, files) // of the first version
		next := fstest.MapFS{"1_wait.up.sql": files["1_wait.up.sql"], "2_b.up.sql": seconds["2_b.up.sql"]}
		waiting := make(chan error, 1)
		go func() { waiting <- f.initially(t, next) }()
		eventually(t, "the initial migration polls for the lock", func() bool {
			return get[bool](t, f, `SELECT EXISTS (SELECT FROM pg_stat_activity
				WHERE application_name = $1 AND state = 'idle' AND query LIKE '-- name: try_lock%')`, f.schema)
		})
		c.meanwhile(f)
		h.release()
		for _, done := range []chan error{h.done, waiting} {
			if err := <-done; err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		h.cancel()
		wantStatus(t, f, next, c.want)
	}
}

func TestInitialMigrationsAndAnotherRaceForOneNewSchema(t *testing.T) {
	t.Parallel()
	f := over(t, pgtest.Schema(t))
	done := make(chan error, 6)
	for i := range cap(done) {
		go func() {
			if i%3 == 0 {
				done <- f.migrateWith(t, "", slowApp)
			} else {
				done <- f.initially(t, slowApp)
			}
		}()
	}
	for range cap(done) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if n := get[int](t, f, "SELECT count(*) FROM {schema}.theirs"); n != 1 {
		t.Errorf("the application's migration ran %d times", n)
	}
	wantStatus(t, f, slowApp, "current: version {ours}; application: current: version 1")
}
