package pgtest_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-worker/understudy/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestSchemaIsNotCreatedAndIsDroppedAfterItsTest(t *testing.T) {
	t.Parallel()
	conn := pgtest.Conn(t)
	var schema string
	t.Run("user", func(t *testing.T) {
		schema = pgtest.Schema(t)
		if countSchemas(t, conn, schema) != 0 {
			t.Errorf("schema %q was created", schema)
		}
		mustExec(t, conn, "CREATE SCHEMA "+schema)
		mustExec(t, conn, "CREATE TABLE "+schema+".things (id int)")
	})
	if countSchemas(t, conn, schema) != 0 {
		t.Errorf("schema %q outlived its test", schema)
	}
}

func TestSchemasOfOneTestDiffer(t *testing.T) {
	t.Parallel()
	if a, b := pgtest.Schema(t), pgtest.Schema(t); a == b {
		t.Errorf("two schemas are both called %q", a)
	}
}

func TestDatabaseIsDroppedWithItsSessions(t *testing.T) {
	t.Parallel()
	var session *pgx.Conn
	var name string
	t.Run("user", func(t *testing.T) {
		var err error
		if session, err = pgx.Connect(t.Context(), pgtest.Database(t)); err != nil {
			t.Fatal(err)
		}
		name = session.Config().Database
		mustExec(t, session, "CREATE TABLE things (id int)")
	})
	if err := session.Ping(t.Context()); err == nil {
		t.Error("a session outlived the database")
	}
	_ = session.Close(t.Context())
	var count int
	row := pgtest.Conn(t).QueryRow(t.Context(), "SELECT count(*) FROM pg_database WHERE datname = $1", name)
	if err := row.Scan(&count); err != nil || count != 0 {
		t.Errorf("%d databases are called %q after the test, error %v", count, name, err)
	}
}

func TestOwnServerKeepsItsCommitsOverACrash(t *testing.T) {
	t.Parallel()
	server := pgtest.Server(t)
	conn, err := pgx.Connect(t.Context(), server.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	var fsync string
	if err := conn.QueryRow(t.Context(), "SHOW fsync").Scan(&fsync); err != nil || fsync != "on" {
		t.Errorf("fsync = %q, error %v; want on", fsync, err)
	}
	mustExec(t, conn, "CREATE TABLE things AS SELECT 7 AS id")
	if err := server.Restart(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close(t.Context())
	if conn, err = pgx.Connect(t.Context(), server.DSN("postgres")); err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var id int
	if err := conn.QueryRow(t.Context(), "SELECT id FROM things").Scan(&id); err != nil || id != 7 {
		t.Errorf("id = %d, error %v; want 7", id, err)
	}
}

func TestPoolReachesTheSharedServer(t *testing.T) {
	t.Parallel()
	var database string
	if err := pgtest.Pool(t).QueryRow(t.Context(), "SELECT current_database()").Scan(&database); err != nil {
		t.Fatal(err)
	}
	if want := pgtest.Conn(t).Config().Database; database != want {
		t.Errorf("the pool is connected to database %q, want %q", database, want)
	}
}

func countSchemas(t *testing.T, conn *pgx.Conn, name string) (count int) {
	t.Helper()
	row := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_namespace WHERE nspname = $1", name)
	if err := row.Scan(&count); err != nil {
		t.Fatal(err)
	}
	return count
}

func mustExec(t *testing.T, conn *pgx.Conn, statement string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}
