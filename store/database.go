package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-worker/understudy/internal/session"
)

// EncodingError says that a database cannot hold every text, or does not know
// what its bytes mean.
type EncodingError struct {
	Database string
	Encoding string // as Postgres names it
}

func (e *EncodingError) Error() string {
	return fmt.Sprintf("the database %q has the encoding %s: jobs need one that holds every text and can be read again; "+
		"make a database with: CREATE DATABASE … TEMPLATE template0 ENCODING 'UTF8', and move what is there by pg_dump", e.Database, e.Encoding)
}

// CheckEncoding returns an *EncodingError where the database's encoding is not
// UTF8. In SQL_ASCII one job with bytes that are no text would fail every claim
// that meets it, and in LATIN1 and the like an error that has a character too
// many could not be recorded.
func CheckEncoding(ctx context.Context, db DB) error {
	e := &EncodingError{}
	err := db.QueryRow(ctx, "SELECT current_database()::text, pg_catalog.getdatabaseencoding()::text").Scan(&e.Database, &e.Encoding)
	switch {
	case err != nil:
		return fmt.Errorf("look for the encoding of the database: %w", err)
	case e.Encoding != "UTF8":
		return e
	}
	return nil
}

// migrationSettings have a migration take as long as it takes, wait for locks as
// long as ours do, and keep the session that holds the lock. What its DSN says of
// a statement's time is meant for it.
func migrationSettings(config *pgx.ConnConfig) session.Settings {
	all := session.Settings{
		"default_transaction_isolation":       "read committed",
		"lock_timeout":                        lockTimeout,
		"idle_session_timeout":                "0",
		"idle_in_transaction_session_timeout": "0",
	}
	for _, name := range []string{"statement_timeout", "transaction_timeout"} {
		if _, given := config.RuntimeParams[name]; !given && !strings.Contains(config.RuntimeParams["options"], name) {
			all[name] = "0"
		}
	}
	return all
}
