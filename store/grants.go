package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// CheckGrants returns an error that names what a worker does in the schema and
// the login may not. To learn it before the first claim is better than from
// jobs that were worked and cannot be recorded.
func CheckGrants(ctx context.Context, db DB, schema string) error {
	sql, err := statementsFor(schema)
	if err != nil {
		return err
	}
	var login, lacking string
	err = db.QueryRow(ctx, sql.get("lacking_grants"), pgx.Identifier{schema}.Sanitize()).Scan(&login, &lacking)
	if err != nil {
		return fmt.Errorf("look for the rights of the login in schema %q: %w", schema, err)
	}
	if lacking != "" {
		return fmt.Errorf("login %q may not work in schema %q: permission denied for %s: grant it", login, schema, lacking)
	}
	return nil
}
