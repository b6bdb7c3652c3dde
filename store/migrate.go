package store

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/golang-migrate/migrate/v4"
	migratepgx "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/understudy-worker/understudy/migrations"
)

// MigrateOptions say what to bring a schema to.
type MigrateOptions struct {
	Schema string
	// App are the application's own migrations, run after ours; nil for none.
	App fs.FS
	// Mark is the comment of a schema that may be dropped and made anew when
	// it is dirty: a schema that Migrate creates gets it. Empty, as for
	// production, means that no schema is ever dropped.
	Mark string
	Log  *slog.Logger
}

// PreviewMark is the Mark of a target's preview schemas.
func PreviewMark(target string) string {
	return fmt.Sprintf("understudy preview of target %q: dropped and made anew when a migration fails half-way", target)
}

// lockPoll is how often a migration that waits for another looks again.
const lockPoll = 100 * time.Millisecond

// lockTimeout bounds how long a statement of a migration waits for a lock, so
// that it does not stand in the way of the jobs behind it.
const lockTimeout = "10s"

// Migrate brings a schema to the version that this binary needs, creating it
// where it is missing. Any number of processes may call it at once: one
// migrates while the others wait. A schema that is ahead and clean is left as
// it is. A dirty one is made anew if it carries the mark, and an error otherwise.
func Migrate(ctx context.Context, config *pgx.ConnConfig, options MigrateOptions) error {
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("migrate schema %q: connect: %w", options.Schema, err)
	}
	m := &migration{MigrateOptions: options, conn: conn, config: config}
	err = m.run(ctx)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	// Closing the session releases its advisory lock.
	if closeErr := conn.Close(closing); err == nil {
		err = closeErr
	}
	return err
}

// migration is one call of Migrate: conn holds its lock.
type migration struct {
	MigrateOptions
	conn   *pgx.Conn
	config *pgx.ConnConfig
}

func (m *migration) run(ctx context.Context) error {
	status, err := Inspect(ctx, m.conn, m.Schema, m.App)
	if err != nil {
		return err
	}
	if status.Serves() { // without a lock: nothing is left to do
		return nil
	}
	if err := m.lock(ctx); err != nil {
		return err
	}
	if status, err = Inspect(ctx, m.conn, m.Schema, m.App); err != nil || status.Serves() {
		return err
	}
	if err := m.prepare(ctx, status); err != nil {
		return err
	}
	return m.up(ctx)
}

// lock polls for the lock that processes race for, so that no waiter holds a
// snapshot that CREATE INDEX CONCURRENTLY would wait for.
func (m *migration) lock(ctx context.Context) error {
	sql, err := statementsFor(m.Schema)
	if err != nil {
		return err
	}
	const namespace = 0x756e6473 // "unds"
	key := fnv.New32a()
	_, _ = key.Write([]byte(m.Schema))
	poll := time.NewTicker(lockPoll)
	defer poll.Stop()
	for {
		var locked bool
		if err := m.conn.QueryRow(ctx, sql.get("try_lock"), namespace, int32(key.Sum32())).Scan(&locked); err != nil {
			return fmt.Errorf("lock schema %q for migration: %w", m.Schema, err)
		}
		if locked {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for another process to migrate schema %q: %w", m.Schema, context.Cause(ctx))
		case <-poll.C:
		}
	}
}

// prepare sees to it that the schema exists and is clean.
func (m *migration) prepare(ctx context.Context, status MigrationStatus) error {
	if status.Dirty() {
		if err := m.drop(ctx, status); err != nil {
			return err
		}
	} else if status.Exists {
		return nil
	}
	err := pgx.BeginFunc(ctx, m.conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "CREATE SCHEMA "+pgx.Identifier{m.Schema}.Sanitize()); err != nil || m.Mark == "" {
			return err
		}
		_, err := tx.Exec(ctx, fmt.Sprintf("COMMENT ON SCHEMA %s IS %s", pgx.Identifier{m.Schema}.Sanitize(), quoteLiteral(m.Mark)))
		return err
	})
	if err != nil {
		return fmt.Errorf("create schema %q (the login needs CREATE on the database, or the schema must be there): %w", m.Schema, err)
	}
	return nil
}

// drop drops a dirty schema, if it is a preview of this installation.
func (m *migration) drop(ctx context.Context, status MigrationStatus) error {
	sql, err := statementsFor(m.Schema)
	if err != nil {
		return err
	}
	var comment string
	if err := m.conn.QueryRow(ctx, sql.get("schema_comment"), m.Schema).Scan(&comment); err != nil {
		return fmt.Errorf("read the mark of schema %q: %w", m.Schema, err)
	}
	if m.Mark == "" || comment != m.Mark {
		return &DirtyError{Schema: m.Schema, Status: status}
	}
	m.Log.Warn("preview schema is dirty: making it anew", "schema", m.Schema)
	if _, err := m.conn.Exec(ctx, "DROP SCHEMA "+pgx.Identifier{m.Schema}.Sanitize()+" CASCADE"); err != nil {
		return fmt.Errorf("drop dirty preview schema %q: %w", m.Schema, err)
	}
	return nil
}

// up applies what each series lacks; one that is ahead is left as it is.
func (m *migration) up(ctx context.Context) error {
	status, err := Inspect(ctx, m.conn, m.Schema, m.App)
	if err != nil {
		return err
	}
	schema := pgx.Identifier{m.Schema}.Sanitize()
	if !status.Ours.serves() {
		// Ours see nothing but their schema.
		if err := m.apply(ctx, migrations.Files, ourVersions, schema+", pg_temp"); err != nil {
			return fmt.Errorf("migrate schema %q: %w", m.Schema, err)
		}
	}
	if !status.App.serves() {
		// The application's may use extensions in public.
		if err := m.apply(ctx, m.App, appVersions, schema+", public, pg_temp"); err != nil {
			return fmt.Errorf("migrate schema %q with the application's migrations: %w", m.Schema, err)
		}
	}
	return nil
}

// The tables that hold how far a schema has come.
const (
	ourVersions = "understudy_migrations"
	appVersions = "app_migrations"
)

// apply runs the files of one source that the schema lacks.
func (m *migration) apply(ctx context.Context, files fs.FS, table, searchPath string) error {
	runner, err := m.runner(files, table, searchPath)
	if err != nil {
		return err
	}
	// The library knows no contexts: it stops between two files when asked to.
	stop := context.AfterFunc(ctx, func() {
		select {
		case runner.GracefulStop <- true:
		default:
		}
	})
	err = runner.Up()
	stop()
	sourceErr, databaseErr := runner.Close()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return errors.Join(err, sourceErr, databaseErr)
}

func (m *migration) runner(files fs.FS, table, searchPath string) (*migrate.Migrate, error) {
	source, err := iofs.New(files, ".")
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	db := stdlib.OpenDB(*m.config, stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "SELECT set_config('search_path', $1, false), set_config('lock_timeout', $2, false)", searchPath, lockTimeout)
		return err
	}))
	driver, err := migratepgx.WithInstance(db, &migratepgx.Config{MigrationsTable: table, SchemaName: m.Schema})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	runner, err := migrate.NewWithInstance("iofs", source, "pgx5", driver)
	if err != nil {
		return nil, errors.Join(err, driver.Close())
	}
	runner.GracefulStop = make(chan bool, 1)
	return runner, nil
}

func quoteLiteral(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// Progress is how far one series of migrations has come in a schema.
type Progress struct {
	Version uint // 0 when none ran
	Needed  uint // the last version that this binary has
	Dirty   bool // the migration to Version failed half-way, or is under way
}

// MigrationStatus is how far a schema is.
type MigrationStatus struct {
	Exists bool
	Ours   Progress
	App    Progress
}

// Serves says that this binary can work with the schema: it is as far as the
// binary needs, or further, and nothing that the binary needs is dirty.
func (s MigrationStatus) Serves() bool { return s.Exists && s.Ours.serves() && s.App.serves() }

// Dirty says that a migration that this binary needs failed half-way.
func (s MigrationStatus) Dirty() bool { return s.Ours.dirty() || s.App.dirty() }

// DirtyAhead says that a migration of a later version failed half-way.
func (s MigrationStatus) DirtyAhead() bool {
	return s.Ours.Dirty && !s.Ours.dirty() || s.App.Dirty && !s.App.dirty()
}

func (p Progress) serves() bool { return p.Version >= p.Needed && !p.dirty() }

func (p Progress) dirty() bool { return p.Dirty && p.Version <= p.Needed }

// String says in words how far the series has come.
func (p Progress) String() string {
	switch {
	case p.Dirty:
		return fmt.Sprintf("dirty at version %d, needed is %d", p.Version, p.Needed)
	case p.Version < p.Needed:
		return fmt.Sprintf("behind: version %d, needed is %d", p.Version, p.Needed)
	case p.Version > p.Needed:
		return fmt.Sprintf("ahead: version %d, needed is %d", p.Version, p.Needed)
	}
	return fmt.Sprintf("current: version %d", p.Version)
}

// String says in words how far the schema is.
func (s MigrationStatus) String() string {
	if !s.Exists {
		return "missing"
	}
	text := s.Ours.String()
	if s.App.Needed > 0 || s.App.Version > 0 {
		text += "; application: " + s.App.String()
	}
	return text
}

// DirtyError says that a migration failed half-way in a schema that is not to
// be dropped.
type DirtyError struct {
	Schema string
	Status MigrationStatus
}

func (e *DirtyError) Error() string {
	table, p := ourVersions, e.Status.Ours
	if !p.dirty() {
		table, p = appVersions, e.Status.App
	}
	return fmt.Sprintf("schema %q is dirty: its migration %d failed half-way. Find out from the log why and what of it took effect "+
		"(each file is one transaction, so usually nothing), then set version to the last one that is whole and dirty to false in %s.%s, and migrate again",
		e.Schema, p.Version, strconv.Quote(e.Schema), table)
}

// Inspect reads how far a schema is.
func Inspect(ctx context.Context, db DB, schema string, app fs.FS) (status MigrationStatus, err error) {
	sql, err := statementsFor(schema)
	if err != nil {
		return status, err
	}
	if err := db.QueryRow(ctx, sql.get("schema_exists"), schema).Scan(&status.Exists); err != nil {
		return status, fmt.Errorf("inspect schema %q: %w", schema, err)
	}
	if status.Ours, err = progress(ctx, db, sql, schema, ourVersions, migrations.Files); err != nil {
		return status, err
	}
	status.App, err = progress(ctx, db, sql, schema, appVersions, app)
	return status, err
}

func progress(ctx context.Context, db DB, sql statements, schema, table string, files fs.FS) (p Progress, err error) {
	if files == nil {
		return p, nil
	}
	if p.Needed, err = lastVersion(files); err != nil {
		return p, err
	}
	name := pgx.Identifier{schema, table}.Sanitize()
	var exists bool
	if err := db.QueryRow(ctx, sql.get("has_version_table"), name).Scan(&exists); err != nil || !exists {
		return p, err
	}
	err = db.QueryRow(ctx, "SELECT version, dirty FROM "+name).Scan(&p.Version, &p.Dirty)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	if err != nil {
		return p, fmt.Errorf("inspect schema %q: %w", schema, err)
	}
	return p, nil
}

// lastVersion is the version of the last file.
func lastVersion(files fs.FS) (last uint, err error) {
	source, err := iofs.New(files, ".")
	if err != nil {
		return 0, fmt.Errorf("read migrations: %w", err)
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	for version, err := source.First(); ; version, err = source.Next(last) {
		if errors.Is(err, fs.ErrNotExist) {
			return last, nil
		}
		if err != nil {
			return 0, fmt.Errorf("read migrations: %w", err)
		}
		last = version
	}
}
