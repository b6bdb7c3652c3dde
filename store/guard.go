package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// guardVersions leaves nobody but its owner the right to write a version table.
// Who could write one could have the owner's migrations run again, or stopped.
// Default privileges, and grants on all tables of the schema, give that right to
// the workers' login each time they are given.
func (m *migration) guardVersions(ctx context.Context) error {
	revokes, err := m.versionRevokes(ctx)
	if err != nil || len(revokes) == 0 {
		return err
	}
	batch := &pgx.Batch{}
	for _, revoke := range revokes {
		batch.Queue(revoke)
	}
	if err := m.inTransaction(ctx, func(tx pgx.Tx) error { return tx.SendBatch(ctx, batch).Close() }); err != nil {
		return fmt.Errorf("revoke the right to write the version tables of schema %q: %w", m.Schema, err)
	}
	return nil
}

// versionRevokes are the statements that guardVersions takes; none where nothing
// is to be revoked, or where it is not this login's to revoke.
func (m *migration) versionRevokes(ctx context.Context) ([]string, error) {
	sql, err := statementsFor(m.Schema)
	if err != nil {
		return nil, err
	}
	rows, err := m.conn.Query(ctx, sql.get("version_revokes"), m.Schema, []string{ourVersions, appVersions})
	if err != nil {
		return nil, fmt.Errorf("look who may write the version tables of schema %q: %w", m.Schema, err)
	}
	revokes, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look who may write the version tables of schema %q: %w", m.Schema, err)
	}
	return revokes, nil
}

// checkExtensions refuses to migrate production on an extension that a preview's
// login may drop, in a database that they share: DROP EXTENSION ... CASCADE takes
// the columns that use it with it, whoever owns them. CREATE EXTENSION IF NOT
// EXISTS would take such a one for the owner's own.
func (m *migration) checkExtensions(ctx context.Context) error {
	if m.Mark != "" {
		return nil
	}
	sql, err := statementsFor(m.Schema)
	if err != nil {
		return err
	}
	var extension, login string
	err = m.conn.QueryRow(ctx, sql.get("previews_extension"), m.Schema).Scan(&extension, &login)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err != nil:
		return fmt.Errorf("look whose the extensions of the database are: %w", err)
	}
	return fmt.Errorf("migrate schema %[1]q: extension %[2]q belongs to login %[3]q, which works previews in this database, and could drop it together with "+
		"every column that uses it: as that login run DROP EXTENSION %[4]s, which names what of the previews still uses it; then, as the owner of schema %[1]q or a superuser, "+
		"CREATE EXTENSION %[4]s SCHEMA public, and migrate again; or give previews a database of their own", m.Schema, extension, login, pgx.Identifier{extension}.Sanitize())
}
