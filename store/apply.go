package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/golang-migrate/migrate/v4/database"
	migratepgx "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	"github.com/golang-migrate/migrate/v4/source"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// The tables that hold how far a schema has come.
const (
	ourVersions = "understudy_migrations"
	appVersions = "app_migrations"
)

// apply runs the files of one source that the schema lacks. Sources, version
// tables and lock are golang-migrate's, so that its command line works on the
// schema too; its loop is not used, since it leaves goroutines behind when a
// file fails, and knows no contexts.
func (m *migration) apply(ctx context.Context, files fs.FS, table, searchPath string) (err error) {
	all, err := iofs.New(files, ".")
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	defer func() { err = errors.Join(err, all.Close()) }()
	driver, session, err := m.driver(ctx, table, searchPath)
	if err != nil {
		return plain(err)
	}
	defer ending(&err, driver.Close)
	if err := m.describe(ctx, table); err != nil {
		return err
	}
	if err := m.guardVersions(ctx); err != nil { // default privileges open a new table to others
		return err
	}
	if err := driver.Lock(); err != nil { // at once: the session has it
		return plain(err)
	}
	defer ending(&err, driver.Unlock)
	s := &series{migration: m, files: all, driver: driver, session: session, table: table}
	return s.applyAll(ctx)
}

// ending ends something. That this failed too says nothing more of a failure.
func ending(err *error, end func() error) {
	if endErr := end(); *err == nil {
		*err = endErr
	}
}

// driver connects anew: the library closes what it is given. The session is the
// driver's only one, and has its locks.
func (m *migration) driver(ctx context.Context, table, searchPath string) (driver database.Driver, session *pgx.Conn, err error) {
	db := stdlib.OpenDB(*m.config, stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
		session = conn
		_, err := conn.Exec(ctx, "SELECT set_config('search_path', $1, false), set_config('lock_timeout', $2, false)", searchPath, lockTimeout)
		return err
	}))
	db.SetMaxOpenConns(1)
	if err = db.PingContext(ctx); err == nil {
		err = m.libraryLocks(ctx, session, table)
	}
	if err == nil {
		err = m.patience.retry(ctx, session, func() (err error) {
			driver, err = migratepgx.WithInstance(db, &migratepgx.Config{MigrationsTable: table, SchemaName: m.Schema})
			return plain(err)
		})
	}
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return driver, session, nil
}

// describe gives a version table its comments.
func (m *migration) describe(ctx context.Context, table string) error {
	name := pgx.Identifier{m.Schema, table}.Sanitize()
	comments := &pgx.Batch{}
	comments.Queue("COMMENT ON TABLE " + name + " IS 'The last migration of one series that was begun in this schema.'")
	comments.Queue("COMMENT ON COLUMN " + name + ".version IS 'Number of its file.'")
	comments.Queue("COMMENT ON COLUMN " + name + ".dirty IS 'It failed half-way, or is under way.'")
	if err := m.inTransaction(ctx, func(tx pgx.Tx) error { return tx.SendBatch(ctx, comments).Close() }); err != nil {
		return fmt.Errorf("describe table %s: %w", table, err)
	}
	return nil
}

// after is the version of the file after that of the schema.
func after(all source.Driver, version int) (uint, error) {
	if version == database.NilVersion {
		return all.First()
	}
	if !has(all, uint(version)) {
		return 0, fmt.Errorf("the schema is at version %d, which none of the migrations has: it was migrated by another series", version)
	}
	return all.Next(uint(version))
}

func has(all source.Driver, version uint) bool {
	for v, err := all.First(); err == nil; v, err = all.Next(v) {
		if v == version {
			return true
		}
	}
	return false
}

// plain is the server's error without the text of the whole file, which the
// library's errors quote.
func plain(err error) error {
	var value database.Error
	var pointer *database.Error
	switch {
	case errors.As(err, &value):
	case errors.As(err, &pointer):
		value = *pointer
	default:
		return err
	}
	var pgErr *pgconn.PgError
	if errors.As(value.OrigErr, &pgErr) && pgErr.Position > 0 {
		return fmt.Errorf("line %d: %w", value.Line, value.OrigErr)
	}
	return value.OrigErr
}
