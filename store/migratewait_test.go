package store_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/golang-migrate/migrate/v4/database"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-worker/understudy/internal/pgtest"
	"github.com/understudy-worker/understudy/store"
)

// holderName is the application_name of the sessions that migrations wait for.
const holderName = "who holds it"

// holding begins a transaction of a session that has a name.
func holding(t *testing.T, f *fixture) pgx.Tx {
	t.Helper()
	config := f.pool.Config().ConnConfig
	config.RuntimeParams["application_name"] = holderName
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(t.Context()) })
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

// raise migrates with this much patience.
func raise(t *testing.T, f *fixture, app fstest.MapFS, patience time.Duration) error {
	t.Helper()
	return store.Migrate(t.Context(), f.pool.Config().ConnConfig, store.MigrateOptions{Schema: f.schema, App: app, LockWait: patience})
}

// wantWaitError wants the error of a migration that waited in vain, which names
// the session that held it up.
func wantWaitError(t *testing.T, err error, holder uint32) {
	t.Helper()
	var inVain *store.WaitError
	if !errors.As(err, &inVain) {
		t.Fatalf("error %v, want a *WaitError", err)
	}
	wantError(t, err, "session "+strconv.Itoa(int(holder))+" of login")
	wantError(t, err, `(application "`+holderName+`"), there since 20`)
}

// things are migrations whose second one changes the table of the first.
func things(second string) fstest.MapFS {
	return fstest.MapFS{
		"1_things.up.sql": {Data: []byte("CREATE TABLE things (id int); INSERT INTO things VALUES (1)")},
		"2_change.up.sql": {Data: []byte(second)},
	}
}

// first are those migrations but for the second.
func first(files fstest.MapFS) fstest.MapFS {
	return fstest.MapFS{"1_things.up.sql": files["1_things.up.sql"]}
}

func TestAMigrationWaitsForALockOnlySoLongAndLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	for name, hold := range map[string]string{
		"a table that its file changes":       "SELECT * FROM %s.things",
		"the table of its version":            "SELECT * FROM %s.app_migrations",
		"the table of its version, for all":   "LOCK TABLE %s.app_migrations",
		"our table of versions, for all":      "LOCK TABLE %s.understudy_migrations",
		"the comments of the version's table": "LOCK TABLE %s.app_migrations IN SHARE UPDATE EXCLUSIVE MODE",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := over(t, pgtest.Schema(t))
			files := things("CREATE TABLE more (n int); ALTER TABLE things ADD COLUMN n int")
			if err := raise(t, f, first(files), 0); err != nil {
				t.Fatal(err)
			}
			tx := holding(t, f)
			if _, err := tx.Exec(t.Context(), strings.ReplaceAll(hold, "%s", pgx.Identifier{f.schema}.Sanitize())); err != nil {
				t.Fatal(err)
			}
			wantWaitError(t, raise(t, f, files, 1500*time.Millisecond), tx.Conn().PgConn().PID())
			if err := tx.Rollback(t.Context()); err != nil {
				t.Fatal(err)
			}
			wantStatus(t, f, files, "current: version {ours}; application: behind: version 1, needed is 2")
			if err := raise(t, f, files, 0); err != nil {
				t.Fatal(err)
			}
			wantStatus(t, f, files, "current: version {ours}; application: current: version 2")
		})
	}
}

func TestAMigrationTriesAgainForALockThatIsHeldLongerThanOneTry(t *testing.T) {
	t.Parallel()
	f := over(t, pgtest.Schema(t))
	files := things("ALTER TABLE things ADD COLUMN n int")
	if err := raise(t, f, first(files), 0); err != nil {
		t.Fatal(err)
	}
	tx := holding(t, f)
	if _, err := tx.Exec(t.Context(), "SELECT * FROM "+pgx.Identifier{f.schema}.Sanitize()+".things"); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- raise(t, f, files, 5*time.Minute) }()
	// Its second try is in a transaction that began after the first one's end.
	var begun []time.Time
	eventually(t, "it tries again", func() bool {
		var at *time.Time
		err := f.pool.QueryRow(t.Context(), `SELECT xact_start FROM pg_stat_activity WHERE $1 = ANY(pg_blocking_pids(pid))`, int32(tx.Conn().PgConn().PID())).Scan(&at)
		if err == nil && at != nil && (len(begun) == 0 || at.After(begun[len(begun)-1])) {
			begun = append(begun, *at)
		}
		return len(begun) > 1
	})
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestAMigrationWaitsForGolangMigratesOwnLockOnlySoLong(t *testing.T) {
	t.Parallel()
	for name, prefix := range map[string]string{"of a program": "", "of its command line": "/"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := over(t, pgtest.Schema(t))
			id, err := database.GenerateAdvisoryLockId(prefix+get[string](t, f, "SELECT current_database()"), f.schema, "app_migrations")
			if err != nil {
				t.Fatal(err)
			}
			tx := holding(t, f)
			if _, err := tx.Exec(t.Context(), "SELECT pg_advisory_xact_lock("+id+")"); err != nil {
				t.Fatal(err)
			}
			files := things("SELECT 1")
			wantWaitError(t, raise(t, f, files, 1500*time.Millisecond), tx.Conn().PgConn().PID())
			if err := tx.Rollback(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := raise(t, f, files, 0); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestAnIndexThatIsBuiltConcurrentlyWaitsForAnOldSnapshotOnlySoLongAndIsNamed(t *testing.T) {
	t.Parallel()
	server := pgtest.Server(t) // an old snapshot would hold up the indexes of other tests
	f := on(t, server.DSN("postgres"), "production")
	files := things("CREATE INDEX CONCURRENTLY things_id ON things (id)")
	if err := raise(t, f, first(files), 0); err != nil {
		t.Fatal(err)
	}
	tx := holding(t, f)
	for _, sql := range []string{"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SELECT 1"} {
		if _, err := tx.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	err := raise(t, f, files, 1500*time.Millisecond)
	wantWaitError(t, err, tx.Conn().PgConn().PID())
	wantError(t, err, "things_id")
	wantStatus(t, f, files, "current: version {ours}; application: dirty at version 2, needed is 2")
}

func TestAMigrationThatWorksLongerThanItMayWaitIsNotCutShort(t *testing.T) {
	t.Parallel()
	f := over(t, pgtest.Schema(t))
	files := things("SELECT pg_sleep(3)")
	if err := raise(t, f, files, time.Second); err != nil {
		t.Error(err)
	}
}

func TestAMigrationWaitsForAServerThatDoesNotAnswerOnlySoLong(t *testing.T) {
	t.Parallel()
	server := pgtest.Server(t)
	f := on(t, server.DSN("postgres"), "production")
	files := things("SELECT pg_sleep(600)")
	config := f.pool.Config().ConnConfig.Copy()
	config.ConnectTimeout = 5 * time.Second
	config.RuntimeParams["application_name"] = "migrates"
	done := make(chan error, 1)
	var log bytes.Buffer
	go func() {
		done <- store.Migrate(t.Context(), config, store.MigrateOptions{
			Schema: f.schema, App: files, LockWait: 3 * time.Second, Log: slog.New(slog.NewTextHandler(&log, nil)),
		})
	}()
	eventually(t, "it is in its file", func() bool {
		return get[bool](t, f, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)')")
	})
	rows, err := f.pool.Query(t.Context(), "SELECT pid FROM pg_stat_activity WHERE application_name = 'migrates'")
	if err != nil {
		t.Fatal(err)
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int32])
	if err != nil {
		t.Fatal(err)
	}
	freeze := func(sig syscall.Signal) {
		_ = server.Signal(sig)
		for _, pid := range pids {
			_ = syscall.Kill(int(pid), sig) // it may have ended
		}
	}
	freeze(syscall.SIGSTOP)
	defer freeze(syscall.SIGCONT)
	select {
	case err := <-done:
		wantError(t, err, "waited 3s for the server, which does not answer")
	case <-time.After(2 * time.Minute):
		t.Error("it waits on")
	}
}

// on is a schema on another server than the tests'.
func on(t *testing.T, dsn, schema string) *fixture {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	f := &fixture{pool: pool, schema: schema}
	if f.Store, err = store.New(pool, schema); err != nil {
		t.Fatal(err)
	}
	return f
}
