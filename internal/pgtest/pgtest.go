package pgtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-worker/understudy/internal/pgserver"
)

// patience bounds everything that the helpers themselves do in the database.
const patience = 30 * time.Second

// DSN returns the DSN of a database of the shared server. Its login is a
// superuser, unless the environment names a server where it is not.
func DSN(t testing.TB) string {
	t.Helper()
	skipIfShort(t)
	dsn, err := shared.start()
	if err != nil {
		t.Fatalf("this test needs a Postgres server (or -short, or $%s): %v", DSNVariable, err)
	}
	return dsn
}

// Schema returns the name of a schema for this test alone in the database of
// DSN. It is not created, and dropped with all in it when the test ends.
func Schema(t testing.TB) string {
	t.Helper()
	dsn := DSN(t)
	schema := uniqueName(t)
	t.Cleanup(func() { dropSchema(t, dsn, schema, dropPatience) })
	return schema
}

// Conn returns a connection to DSN that is closed when the test ends.
func Conn(t testing.TB) *pgx.Conn {
	t.Helper()
	conn := connect(t, DSN(t))
	t.Cleanup(func() { closeConn(t, conn) })
	return conn
}

// Pool returns a pool on DSN that is closed when the test ends. The test must
// have given back every connection by then.
func Pool(t testing.TB) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), DSN(t))
	if err != nil {
		t.Fatalf("open a pool: %v", err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// Database returns the DSN of a new, empty database for this test alone on
// the server of DSN. When the test ends it is dropped, sessions and all.
func Database(t testing.TB) string {
	t.Helper()
	return DatabaseIn(t, "UTF8")
}

// DatabaseIn is Database with another encoding, as Postgres names it.
func DatabaseIn(t testing.TB, encoding string) string {
	t.Helper()
	dsn := DSN(t)
	name := uniqueName(t)
	// template0, because nobody can be connected to it, which would be in the way.
	execute(t, dsn, "CREATE DATABASE "+quote(name)+" TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C' ENCODING '"+encoding+"'")
	t.Cleanup(func() { execute(t, dsn, "DROP DATABASE "+quote(name)+" WITH (FORCE)") })
	return withDatabase(dsn, name)
}

// Server returns a server of this test's own, with full durability, that the
// test may restart and halt. It is stopped when the test ends, and the end of
// its log shown if the test failed.
func Server(t testing.TB) *pgserver.Server {
	t.Helper()
	skipIfShort(t)
	server, err := pgserver.Start(t.Context(), pgserver.Options{Settings: map[string]string{"shared_buffers": "64MB"}})
	if err != nil {
		t.Fatalf("this test needs Postgres server binaries (or -short): %v", err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Errorf("stop the server of this test: %v", err)
		}
		if t.Failed() {
			t.Logf("the log of this test's server ends:\n%s", server.LogTail())
		}
	})
	return server
}

// Replica returns a hot standby of a server. It is stopped when the test ends.
func Replica(t testing.TB, of *pgserver.Server) *pgserver.Server {
	t.Helper()
	replica, err := of.Replica(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := replica.Stop(); err != nil {
			t.Errorf("stop the replica of this test: %v", err)
		}
	})
	return replica
}

func skipIfShort(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a Postgres server, and -short is set")
	}
}

var notInName = regexp.MustCompile(`[^a-z0-9]+`)

// uniqueName is a name for a schema or a database that tells the test it
// belongs to and is no other's, in any process on the server.
func uniqueName(t testing.TB) string {
	name := notInName.ReplaceAllString(strings.ToLower(t.Name()), "_")
	return fmt.Sprintf("%.32s_%.10s", name, strings.ToLower(rand.Text()))
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

// withDatabase is a DSN, in either of Postgres's forms, for another database.
func withDatabase(dsn, database string) string {
	address, err := url.Parse(dsn)
	if err != nil || address.Scheme == "" {
		return dsn + " dbname=" + database // the last one counts
	}
	query := address.Query()
	query.Del("dbname")
	query.Del("database")
	address.RawQuery = query.Encode()
	address.Path = "/" + database
	return address.String()
}

// connect opens a connection to dsn.
func connect(t testing.TB, dsn string) *pgx.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatalf("connect to the test's Postgres server: %v", err)
	}
	return conn
}

func closeConn(t testing.TB, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := conn.Close(ctx); err != nil {
		t.Logf("close a connection: %v", err)
	}
}
