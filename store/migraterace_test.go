package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-worker/understudy/internal/pgtest"
	"github.com/understudy-worker/understudy/store"
)

// With these this binary migrates a schema instead of running its tests.
const (
	childSchema = "UNDERSTUDY_STORE_TEST_SCHEMA"
	childDSN    = "UNDERSTUDY_STORE_TEST_DSN"
)

// migrateAsChild is all that a process does that a test has started.
func migrateAsChild(schema string) (code int) {
	config, err := pgx.ParseConfig(os.Getenv(childDSN))
	if err == nil {
		err = store.Migrate(context.Background(), config, store.MigrateOptions{Schema: schema, App: slowApp, Mark: store.PreviewMark("preview")})
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// slowApp gives racing processes time to meet.
var slowApp = fstest.MapFS{
	"1_slow.up.sql": {Data: []byte("CREATE TABLE theirs (n int); INSERT INTO theirs VALUES (1); SELECT pg_sleep(0.5)")},
}

// race migrates a schema by eight processes at once.
func race(t *testing.T, schema string) {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var processes sync.WaitGroup
	for range 8 {
		child := exec.CommandContext(t.Context(), binary)
		child.Env = append(os.Environ(), childSchema+"="+schema, childDSN+"="+pgtest.DSN(t))
		processes.Go(func() {
			if out, err := child.CombinedOutput(); err != nil {
				t.Errorf("a process failed: %v: %s", err, out)
			}
		})
	}
	processes.Wait()
}

// over is a schema that somebody else has migrated.
func over(t *testing.T, schema string) *fixture {
	t.Helper()
	f := &fixture{pool: pgtest.Pool(t), schema: schema}
	var err error
	if f.Store, err = store.New(f.pool, schema); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestManyProcessesMigrateOneNewSchemaOnce(t *testing.T) {
	t.Parallel()
	f := over(t, pgtest.Schema(t))
	race(t, f.schema)
	if n := get[int](t, f, "SELECT count(*) FROM {schema}.theirs"); n != 1 {
		t.Errorf("the application's migration ran %d times", n)
	}
	wantStatus(t, f, slowApp, "current: version {ours}; application: current: version 1")
	wholeLife(t, f)
}

func TestManyProcessesRebuildOneDirtyPreviewOnce(t *testing.T) {
	t.Parallel()
	f := over(t, pgtest.Schema(t))
	if err := f.migrateWith(t, store.PreviewMark("preview"), slowApp); err != nil {
		t.Fatal(err)
	}
	mustEnqueue(t, f, store.NewJob{Kind: "a"})
	f.exec(t, "UPDATE {schema}.app_migrations SET dirty = true")
	race(t, f.schema)
	if n := get[int](t, f, "SELECT count(*) FROM {schema}.theirs"); n != 1 {
		t.Errorf("the application's migration ran %d times", n)
	}
	if n := get[int](t, f, "SELECT count(*) FROM {schema}.jobs"); n != 0 {
		t.Errorf("%d jobs outlived the schema", n)
	}
	wantStatus(t, f, slowApp, "current: version {ours}; application: current: version 1")
}

// held is a migration that waits in the middle of a file.
type heldMigration struct {
	release func()
	done    chan error
	cancel  context.CancelFunc
}

// holdMigration migrates a schema with an application's migration that waits
// until it is released, and one after it.
func holdMigration(t *testing.T, f *fixture, files fstest.MapFS) *heldMigration {
	t.Helper()
	tx := f.begin(t)
	key := get[int64](t, f, "SELECT hashtextextended($1, 1)", f.schema)
	f.in(t, tx, "SELECT pg_advisory_xact_lock($1)", key)
	files["1_wait.up.sql"] = &fstest.MapFile{Data: fmt.Appendf(nil, "SELECT pg_advisory_xact_lock(%d)", key)}
	ctx, cancel := context.WithCancel(t.Context())
	h := &heldMigration{release: func() { commit(t, tx) }, done: make(chan error, 1), cancel: cancel}
	go func() {
		h.done <- store.Migrate(ctx, f.pool.Config().ConnConfig, store.MigrateOptions{Schema: f.schema, App: files})
	}()
	eventually(t, "the migration waits in its file", func() bool {
		return get[bool](t, f, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'advisory' AND query = $1)", string(files["1_wait.up.sql"].Data))
	})
	return h
}

func TestAMigrationThatWaitsForAnotherEndsWithItsContext(t *testing.T) {
	t.Parallel()
	f := over(t, pgtest.Schema(t))
	files := fstest.MapFS{}
	h := holdMigration(t, f, files)
	for name, limit := range map[string]func() (context.Context, context.CancelFunc){
		"deadline": func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(t.Context(), 300*time.Millisecond)
		},
		"cause": func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(t.Context())
			timer := time.AfterFunc(300*time.Millisecond, func() { cancel(errRoleChanged) })
			return ctx, func() { timer.Stop(); cancel(nil) }
		},
	} {
		ctx, cancel := limit()
		begun := time.Now()
		err := store.Migrate(ctx, f.pool.Config().ConnConfig, store.MigrateOptions{Schema: f.schema, App: files})
		if took := time.Since(begun); err == nil || took > 10*time.Second {
			t.Errorf("%s: error %v after %s", name, err, took)
		}
		if name == "cause" && !errors.Is(err, errRoleChanged) && !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error is %v", name, err)
		}
		cancel()
	}
	h.release()
	if err := <-h.done; err != nil {
		t.Error(err)
	}
	h.cancel()
	wantStatus(t, f, files, "current: version {ours}; application: current: version 1")
}

var errRoleChanged = errors.New("the role changed")

func TestAMigrationIsCutShortBetweenTwoFilesOnly(t *testing.T) {
	t.Parallel()
	f := over(t, pgtest.Schema(t))
	files := fstest.MapFS{"2_next.up.sql": {Data: []byte("CREATE TABLE theirs (n int)")}}
	h := holdMigration(t, f, files)
	h.cancel()
	h.release()
	if err := <-h.done; !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	wantStatus(t, f, files, "current: version {ours}; application: behind: version 1, needed is 2")
}

func TestAnIndexIsBuiltConcurrentlyWhileOthersWait(t *testing.T) {
	t.Parallel()
	f := over(t, pgtest.Schema(t))
	files := fstest.MapFS{
		"2_table.up.sql": {Data: []byte("CREATE TABLE theirs (n int)")},
		"3_index.up.sql": {Data: []byte("CREATE INDEX CONCURRENTLY theirs_n ON theirs (n)")},
	}
	h := holdMigration(t, f, files)
	others := make(chan error, 3)
	for range cap(others) {
		go func() {
			others <- store.Migrate(t.Context(), f.pool.Config().ConnConfig, store.MigrateOptions{Schema: f.schema, App: files})
		}()
	}
	eventually(t, "the others poll for the lock", func() bool {
		return get[int](t, f, "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle' AND query LIKE '-- name: try_lock%'") >= cap(others)
	})
	h.release()
	for range cap(others) {
		if err := <-others; err != nil {
			t.Error(err)
		}
	}
	if err := <-h.done; err != nil {
		t.Error(err)
	}
	h.cancel()
	wantStatus(t, f, files, "current: version {ours}; application: current: version 3")
}
