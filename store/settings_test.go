package store_test

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-worker/understudy/internal/pgtest"
	"github.com/understudy-worker/understudy/internal/session"
	"github.com/understudy-worker/understudy/store"
)

// old is what is set for logins of old applications, and in a hurry.
var old = map[string]string{
	"client_encoding": "LATIN1", "standard_conforming_strings": "off", "DateStyle": "German, DMY", "IntervalStyle": "sql_standard",
	"TimeZone": "Asia/Kathmandu", "extra_float_digits": "-15", "array_nulls": "off", "default_transaction_isolation": "serializable",
	"default_transaction_deferrable": "on", "transform_null_equals": "on", "lock_timeout": "50ms", "idle_session_timeout": "200ms",
	"exit_on_error": "on", "enable_indexscan": "off", "enable_nestloop": "off", "plan_cache_mode": "force_custom_plan", "statement_timeout": "1min",
}

// set sets parameters for a login.
func (f *fixture) set(t *testing.T, login string, parameters map[string]string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		value := parameters[name]
		if name != "DateStyle" { // a list
			value = "'" + value + "'"
		}
		f.exec(t, "ALTER ROLE "+login+" SET "+name+" = "+value)
	}
}

func TestWhatIsSetForALoginDecidesNothingThatAWorkerDoes(t *testing.T) {
	t.Parallel()
	for name, pooler := range map[string]bool{"with sessions of its own": false, "through a pooler": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := migrated(t)
			login, password := login(t, f)
			f.exec(t, "ALTER ROLE "+login+" SUPERUSER")
			f.set(t, login, old)
			if pooler {
				f.exec(t, "ALTER ROLE "+login+" RESET array_nulls")          // arrays go as text there, and what enqueues is not told of a pooler
				f.exec(t, "ALTER ROLE "+login+" RESET idle_session_timeout") // of the pooler's sessions, whose ends its clients do not see
			}
			config := loginConfig(f.pool, login, password)
			if pooler {
				config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
				config.ConnConfig.StatementCacheCapacity, config.ConnConfig.DescriptionCacheCapacity = 0, 0
				session.RelyOnDriverThroughPooler(config.ConnConfig)
			} else {
				session.RelyOnDriver(config.ConnConfig)
				session.SetUnlessLent(config.ConnConfig, session.Ours)
			}
			g := f.withPool(t, config)
			change := func(o *store.QueueOptions) { o.Pooled = pooler }
			wholeLife(t, g, change)
			id := mustEnqueue(t, g, store.NewJob{Kind: "café", Args: map[string]string{"a": `é\'`}, UniqueKey: `ключ\`})
			if same := get[bool](t, f, "SELECT (kind, unique_key, args->>'a') = ($2, $3, $4) FROM {schema}.jobs WHERE id = $1", id, "café", `ключ\`, `é\'`); !same {
				t.Error("what is not ASCII was stored as something else")
			}
			if job := held(t, g.epoch(t, change), []int64{id}, "café")[0]; job.Kind != "café" || job.UniqueKey != `ключ\` || string(job.Args) != `{"a": "é\\'"}` {
				t.Errorf("claimed %+v", job)
			}
		})
	}
}

func TestWhatIsSetForALoginFailsNoMigration(t *testing.T) {
	t.Parallel()
	f := over(t, pgtest.Schema(t))
	login, password := login(t, f)
	f.exec(t, "ALTER ROLE "+login+" SUPERUSER")
	f.set(t, login, old)
	f.set(t, login, map[string]string{
		"statement_timeout": "1s", "idle_session_timeout": "1s", "idle_in_transaction_session_timeout": "1s", "lock_timeout": "1ms",
	})
	config := loginConfig(f.pool, login, password).ConnConfig
	files := fstest.MapFS{"1_slow.up.sql": file(`CREATE TABLE slow AS SELECT current_setting('lock_timeout') AS lock_timeout, E'caf\u00e9' AS kind; SELECT pg_sleep(2); CREATE INDEX ON slow (kind)`)}
	if err := store.Migrate(t.Context(), config, store.MigrateOptions{Schema: f.schema, App: files}); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, f, files, "current: version {ours}; application: current: version 1")
	if got := get[string](t, f, "SELECT lock_timeout || kind FROM {schema}.slow"); got != "10scafé" {
		t.Errorf("the migration saw %s", got)
	}
	// What the DSN says is meant for it.
	config.RuntimeParams["statement_timeout"] = "1000"
	files["2_slower.up.sql"] = file("SELECT pg_sleep(60)")
	wantError(t, store.Migrate(t.Context(), config, store.MigrateOptions{Schema: f.schema, App: files}), "statement timeout")
}

func TestADatabaseThatCannotHoldEveryTextIsRefusedByName(t *testing.T) {
	t.Parallel()
	for _, encoding := range []string{"SQL_ASCII", "LATIN1", "WIN1252"} {
		t.Run(encoding, func(t *testing.T) {
			t.Parallel()
			f := onDatabase(t, pgtest.DatabaseIn(t, encoding))
			config := f.pool.Config().ConnConfig
			err := store.Migrate(t.Context(), config, store.MigrateOptions{Schema: f.schema})
			var refused *store.EncodingError
			if !errors.As(err, &refused) || *refused != (store.EncodingError{Database: config.Database, Encoding: encoding}) {
				t.Errorf("migrate: error %v", err)
			}
			wantError(t, err, "ENCODING 'UTF8'")
			if err := store.CheckEncoding(t.Context(), f.pool); !errors.As(err, &refused) {
				t.Errorf("check: error %v", err)
			}
			if made := get[int](t, f, "SELECT count(*) FROM pg_namespace WHERE nspname = 'jobs'"); made != 0 {
				t.Errorf("%d schemas were made", made)
			}
		})
	}
	if err := store.CheckEncoding(t.Context(), pgtest.Pool(t)); err != nil {
		t.Errorf("UTF8: %v", err)
	}
}

func TestWhoSetADatabaseReadOnlyIsNamed(t *testing.T) {
	t.Parallel()
	admin := onDatabase(t, pgtest.Database(t))
	login, password := login(t, admin)
	database := admin.pool.Config().ConnConfig.Database
	in := login + " IN DATABASE " + database
	for where, c := range map[string]struct{ brake, undo string }{
		`for the login "` + login + `"`:                                    {"ALTER ROLE " + login + " SET", "ALTER ROLE " + login + " RESET"},
		`for the database "` + database + `"`:                              {"ALTER DATABASE " + database + " SET", "SET default_transaction_read_only = off; ALTER DATABASE " + database + " RESET"},
		`for the login "` + login + `" in the database "` + database + `"`: {"ALTER ROLE " + in + " SET", "ALTER ROLE " + in + " RESET"},
	} {
		config := loginConfig(admin.pool, login, password)
		brake, undo := c.brake+" default_transaction_read_only = on", c.undo+" default_transaction_read_only"
		for attributes, validate := range map[string]pgconn.ValidateConnectFunc{"any": nil, "read-write": pgconn.ValidateConnectTargetSessionAttrsReadWrite} {
			admin.exec(t, brake)
			refusing := config.Copy()
			refusing.ConnConfig.ValidateConnect = validate
			session.RefuseReadOnly(refusing.ConnConfig)
			pool := newPool(t, refusing)
			var readOnly *session.ReadOnlyError
			if err := pool.Ping(t.Context()); !errors.As(err, &readOnly) || *readOnly != (session.ReadOnlyError{Where: where, Undo: undo}) {
				t.Errorf("%s, target_session_attrs=%s: error %v", brake, attributes, err)
			}
			admin.exec(t, undo) // as it says, and it works again
			if err := pool.Ping(t.Context()); err != nil {
				t.Errorf("after %s: %v", undo, err)
			}
		}
		admin.exec(t, brake)
		err := store.Migrate(t.Context(), config.ConnConfig, store.MigrateOptions{Schema: "jobs"})
		wantError(t, err, "default_transaction_read_only is on, set "+where)
		admin.exec(t, undo)
	}
	config := loginConfig(admin.pool, login, password)
	config.ConnConfig.RuntimeParams["default_transaction_read_only"] = "on"
	session.RefuseReadOnly(config.ConnConfig)
	wantError(t, newPool(t, config).Ping(t.Context()), "set by the DSN")
}

// onDatabase is the schema jobs of a database of the test's own, not migrated.
func onDatabase(t *testing.T, dsn string) *fixture {
	t.Helper()
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return &fixture{pool: newPool(t, config), schema: "jobs"}
}

func newPool(t *testing.T, config *pgxpool.Config) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}
