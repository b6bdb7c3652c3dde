package pgtest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// dropPatience is how long a drop waits for sessions that still hold locks in
// the schema: those of a killed worker take a moment to end.
const dropPatience = 10 * time.Second

// dropSchema drops a test's schema. A session that keeps it locked is ended,
// and the test fails: it left something behind.
func dropSchema(t testing.TB, dsn, schema string, wait time.Duration) {
	t.Helper()
	conn := connect(t, dsn)
	defer closeConn(t, conn)
	err := tryDrop(conn, schema, wait)
	if isLockTimeout(err) {
		t.Errorf("the test left a session behind that holds locks in its schema %q", schema)
		endHolders(t, conn, schema)
		err = tryDrop(conn, schema, wait)
	}
	if err != nil {
		t.Errorf("drop schema %q: %v", schema, err)
	}
}

// tryDrop drops a schema and waits for its locks at most for wait.
func tryDrop(conn *pgx.Conn, schema string, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := conn.Exec(ctx, "SELECT set_config('lock_timeout', $1, false)", wait.String()); err != nil {
		return err
	}
	_, err := conn.Exec(ctx, "DROP SCHEMA IF EXISTS "+quote(schema)+" CASCADE")
	return err
}

func isLockTimeout(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && pgErr.Code == pgerrcode.LockNotAvailable
}

// endHolders ends the sessions that hold locks on relations of a schema.
func endHolders(t testing.TB, conn *pgx.Conn, schema string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := conn.Exec(ctx, `
		SELECT pg_terminate_backend(pid)
		FROM (SELECT DISTINCT l.pid
		      FROM pg_locks l
		      JOIN pg_class c ON c.oid = l.relation
		      JOIN pg_namespace n ON n.oid = c.relnamespace
		      WHERE n.nspname = $1 AND l.granted AND l.pid <> pg_backend_pid()
		        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())) AS holders`, schema)
	if err != nil {
		t.Errorf("end the sessions in schema %q: %v", schema, err)
	}
}

// execute runs one statement on a connection of its own.
func execute(t testing.TB, dsn, statement string) {
	t.Helper()
	conn := connect(t, dsn)
	defer closeConn(t, conn)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := conn.Exec(ctx, statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}
