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
	driver, err := m.driver(table, searchPath)
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
	if err := driver.Lock(); err != nil {
		return plain(err)
	}
	defer ending(&err, driver.Unlock)
	return applyAll(ctx, all, driver)
}

// ending ends something. That this failed too says nothing more of a failure.
func ending(err *error, end func() error) {
	if endErr := end(); *err == nil {
		*err = endErr
	}
}

// driver connects anew: the library closes what it is given.
func (m *migration) driver(table, searchPath string) (database.Driver, error) {
	db := stdlib.OpenDB(*m.config, stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "SELECT set_config('search_path', $1, false), set_config('lock_timeout', $2, false)", searchPath, lockTimeout)
		return err
	}))
	driver, err := migratepgx.WithInstance(db, &migratepgx.Config{MigrationsTable: table, SchemaName: m.Schema})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return driver, nil
}

// describe gives a version table its comments.
func (m *migration) describe(ctx context.Context, table string) error {
	name := pgx.Identifier{m.Schema, table}.Sanitize()
	comments := &pgx.Batch{}
	comments.Queue("COMMENT ON TABLE " + name + " IS 'The last migration of one series that was begun in this schema.'")
	comments.Queue("COMMENT ON COLUMN " + name + ".version IS 'Number of its file.'")
	comments.Queue("COMMENT ON COLUMN " + name + ".dirty IS 'It failed half-way, or is under way.'")
	if err := m.conn.SendBatch(ctx, comments).Close(); err != nil {
		return fmt.Errorf("describe table %s: %w", table, err)
	}
	return nil
}

// applyAll applies the files after the schema's version, and stops between two
// of them when ctx ends.
func applyAll(ctx context.Context, all source.Driver, driver database.Driver) error {
	version, _, err := driver.Version()
	if err != nil {
		return plain(err)
	}
	next, err := after(all, version)
	for err == nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := applyFile(all, driver, next); err != nil {
			return err
		}
		next, err = all.Next(next)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
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

// applyFile applies one file. The mark that it is under way is committed
// first: where it stays, the file failed or its process died.
func applyFile(all source.Driver, driver database.Driver, version uint) (err error) {
	body, name, err := all.ReadUp(version)
	if err != nil {
		return fmt.Errorf("read migration %d: %w", version, err)
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	if err := driver.SetVersion(int(version), true); err != nil {
		return fmt.Errorf("migration %d_%s: %w", version, name, plain(err))
	}
	if err := driver.Run(body); err != nil {
		return fmt.Errorf("migration %d_%s: %w", version, name, plain(err))
	}
	if err := driver.SetVersion(int(version), false); err != nil {
		return fmt.Errorf("migration %d_%s: %w", version, name, plain(err))
	}
	return nil
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
