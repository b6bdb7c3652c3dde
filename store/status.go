package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/understudy-worker/understudy/migrations"
)

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
	// BoundTo is another schema that functions of ours act on: see BoundError.
	// Usually empty.
	BoundTo string
}

// Serves says that this binary can work with the schema: it is as far as the
// binary needs, or further, nothing that the binary needs is dirty, and the
// functions in it act on it.
func (s MigrationStatus) Serves() bool {
	return s.Exists && s.Ours.serves() && s.App.serves() && s.BoundTo == ""
}

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
	if s.BoundTo != "" {
		text += fmt.Sprintf("; its functions act on schema %q, whose name they keep since it was renamed or copied", s.BoundTo)
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
	if status.App, err = progress(ctx, db, sql, schema, appVersions, app); err != nil {
		return status, err
	}
	bound, err := boundElsewhere(ctx, db, sql, schema)
	if len(bound) > 0 {
		status.BoundTo = bound[0].schema
	}
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
	var exists, secured bool
	var login string
	if err := db.QueryRow(ctx, sql.get("version_table"), name).Scan(&exists, &secured, &login); err != nil {
		return p, fmt.Errorf("inspect schema %q: %w", schema, err)
	}
	if !exists {
		return p, nil
	}
	err = db.QueryRow(ctx, "SELECT version, dirty FROM "+name).Scan(&p.Version, &p.Dirty)
	var pgErr *pgconn.PgError
	switch {
	case errors.Is(err, pgx.ErrNoRows) && secured:
		return p, rowSecurityError(fmt.Sprintf("login %q", login), schema, login, []string{table})
	case errors.Is(err, pgx.ErrNoRows):
		err = nil
	case errors.As(err, &pgErr) && (pgErr.Code == "42P01" || pgErr.Code == "3F000"):
		return p, nil // a dirty preview is being made anew
	}
	if err != nil {
		return p, fmt.Errorf("inspect schema %q: %w", schema, err)
	}
	return p, nil
}

// Worked says whether a worker has ever worked in the schema: had an epoch in
// it. Then it is in use, and what is in it is more than an attempt to set it
// up. Rows of epochs that ended are dropped by workers, each of which has one.
func Worked(ctx context.Context, db DB, schema string) (worked bool, err error) {
	sql, err := statementsFor(schema)
	if err != nil {
		return false, err
	}
	err = db.QueryRow(ctx, sql.get("has_table"), pgx.Identifier{schema, "workers"}.Sanitize()).Scan(&worked)
	if err == nil && worked {
		err = db.QueryRow(ctx, sql.get("worked")).Scan(&worked)
	}
	if err != nil {
		return false, fmt.Errorf("look for workers in schema %q: %w", schema, err)
	}
	return worked, nil
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
		if err == nil && version == 0 { // it would be taken for none
			err = errors.New("a file has the version 0: number them from 1")
		}
		if err != nil {
			return 0, fmt.Errorf("read migrations: %w", err)
		}
		last = version
	}
}
