package store

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-worker/understudy/internal/session"
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
	// Initial leaves a schema that a worker has worked in as it is: see Worked.
	Initial bool
	// LockWait is how long to wait in all: for other sessions that migrate the
	// schema or hold what a migration needs, and for a server that does not answer.
	// The error is a *WaitError then. 0 for as long as ctx lasts. A statement that
	// takes long because it works is not cut short.
	LockWait time.Duration
	Log      *slog.Logger // nil for nowhere
}

// PreviewMark is the Mark of a target's preview schemas.
func PreviewMark(target string) string {
	return fmt.Sprintf("understudy preview of target %q: dropped and made anew when a migration fails half-way", target)
}

// lockTimeout bounds how long a statement of a migration waits for a lock, so
// that it does not stand in the way of the jobs behind it.
const (
	lockTimeoutLength = 10 * time.Second
	lockTimeout       = "10s"
)

// Migrate brings a schema to the version that this binary needs, creating it
// where it is missing. Any number of processes may call it at once: one
// migrates while the others wait. A schema that is ahead and clean is left as
// it is. A dirty one is made anew if it carries the mark, and an error otherwise.
// Each time, nobody but their owner is left with the right to write the
// tables that say how far the schema is.
func Migrate(ctx context.Context, config *pgx.ConnConfig, options MigrateOptions) error {
	config = config.Copy()
	session.RelyOnDriver(config)
	session.SetUnlessLent(config, migrationSettings(config))
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("migrate schema %q: connect: %w", options.Schema, err)
	}
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	m := &migration{
		MigrateOptions: options, conn: conn, config: config,
		patience: newPatience(options.Schema, config, options.LockWait, options.Log),
	}
	err = ofSchema(options.Schema, m.run(ctx))
	m.patience.close(ctx)
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
	conn     *pgx.Conn
	config   *pgx.ConnConfig
	patience *patience
}

func (m *migration) run(ctx context.Context) error {
	if done, err := m.done(ctx); err != nil || done { // without a lock: nothing is left to do
		return err
	}
	if err := m.patience.watch(ctx, m.conn, func() error { return m.checkSession(ctx) }); err != nil {
		return err
	}
	if err := m.checkDatabase(ctx); err != nil {
		return err
	}
	if err := m.lock(ctx); err != nil {
		return err
	}
	// Meanwhile others may have migrated it, and begun to work in it.
	status, done, err := m.look(ctx)
	if err != nil {
		return err
	}
	if done {
		return m.guardVersions(ctx)
	}
	if err := m.patience.watch(ctx, m.conn, func() error { return m.checkExtensions(ctx) }); err != nil {
		return err
	}
	if err := m.prepare(ctx, status); err != nil {
		return err
	}
	return m.up(ctx)
}

// done says whether the schema is as it is to be.
func (m *migration) done(ctx context.Context) (bool, error) {
	if _, done, err := m.look(ctx); err != nil || !done {
		return false, err
	}
	var revokes []string
	err := m.patience.watch(ctx, m.conn, func() (err error) {
		revokes, err = m.versionRevokes(ctx)
		return err
	})
	return len(revokes) == 0, err
}

// checkDatabase makes sure that the database can hold jobs and is to be written to.
func (m *migration) checkDatabase(ctx context.Context) error {
	err := CheckEncoding(ctx, m.conn)
	if err == nil {
		err = session.CheckReadOnly(ctx, m.conn.PgConn())
	}
	if err != nil {
		return fmt.Errorf("migrate schema %q: %w", m.Schema, err)
	}
	return nil
}

// look says how far the schema is, and whether that is as far as it is to be brought.
func (m *migration) look(ctx context.Context) (status MigrationStatus, done bool, err error) {
	err = m.patience.watch(ctx, m.conn, func() (err error) {
		status, err = Inspect(ctx, m.conn, m.Schema, m.App)
		if done = status.Serves(); err == nil && !done && m.Initial {
			done, err = Worked(ctx, m.conn, m.Schema)
		}
		return err
	})
	return status, done, err
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
	err := m.inTransaction(ctx, func(tx pgx.Tx) error {
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
	err = m.inTransaction(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "DROP SCHEMA "+pgx.Identifier{m.Schema}.Sanitize()+" CASCADE")
		return err
	})
	if err != nil {
		return fmt.Errorf("drop dirty preview schema %q: %w", m.Schema, err)
	}
	return nil
}

// inTransaction does something in a transaction whose locks are waited for as long
// as may be, and never long at a time.
func (m *migration) inTransaction(ctx context.Context, do func(tx pgx.Tx) error) error {
	return m.patience.retry(ctx, m.conn, func() error {
		return pgx.BeginFunc(ctx, m.conn, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "SELECT set_config('lock_timeout', $1, true)", lockTimeout); err != nil {
				return err
			}
			return do(tx)
		})
	})
}

// up applies what each series lacks; one that is ahead is left as it is.
func (m *migration) up(ctx context.Context) error {
	status, err := Inspect(ctx, m.conn, m.Schema, m.App)
	if err != nil {
		return err
	}
	if !status.Ours.serves() {
		// Ours see nothing but their schema.
		if err := m.apply(ctx, migrations.Files, ourVersions, ourSearchPath(m.Schema)); err != nil {
			return fmt.Errorf("migrate schema %q: %w", m.Schema, err)
		}
	}
	if err := m.bind(ctx); err != nil { // before the application's, which may call them
		return err
	}
	if !status.App.serves() {
		// The application's may use extensions in public.
		if err := m.apply(ctx, m.App, appVersions, pgx.Identifier{m.Schema}.Sanitize()+", public, pg_temp"); err != nil {
			return fmt.Errorf("migrate schema %q with the application's migrations: %w", m.Schema, err)
		}
	}
	return nil
}

func quoteLiteral(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
