package container

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// pooled starts a server with a login behind PgBouncer and returns the login's
// DSN by way of that.
func pooled(t *testing.T) (p *Postgres, dsn string) {
	t.Helper()
	p = StartPostgres(t, nil)
	run(t, p.DSN("postgres"), "CREATE ROLE clerk LOGIN PASSWORD 'open sesame'")
	b := StartPgBouncer(t, p, map[string]string{"clerk": "open sesame"})
	return p, b.LoginDSN("clerk", "open sesame", p.Database(t))
}

func simple(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	return open(t, dsn+"&default_query_exec_mode=simple_protocol")
}

func backend(t *testing.T, conn *pgx.Conn) (pid int) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), "SELECT pg_backend_pid()").Scan(&pid); err != nil {
		t.Fatal(err)
	}
	return pid
}

func TestPgBouncerLendsAServerConnectionForATransactionOnly(t *testing.T) {
	t.Parallel()
	_, dsn := pooled(t)
	one, two := simple(t, dsn), simple(t, dsn)
	if a, b := backend(t, one), backend(t, two); a != b {
		t.Errorf("two idle clients have backends %d and %d of their own, want one that both used", a, b)
	}
	tx, err := one.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if a, b := backend(t, one), backend(t, two); a == b {
		t.Errorf("backend %d serves two transactions at once", a)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestPgBouncerIsOneWithoutPreparedStatements(t *testing.T) {
	t.Parallel()
	_, dsn := pooled(t)
	holder, client := simple(t, dsn), simple(t, dsn)
	if _, err := client.Prepare(t.Context(), "one", "SELECT 1"); err != nil {
		t.Fatal(err)
	}
	// The holder gets the connection that has the statement, the client another.
	tx, err := holder.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.PgConn().ExecPrepared(t.Context(), "one", nil, nil, nil).Close(); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("a prepared statement on another server connection: %v, want that it does not exist", err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestPgBouncerFindsItsServerAgainAfterARestart(t *testing.T) {
	t.Parallel()
	p, dsn := pooled(t)
	backend(t, simple(t, dsn))
	if err := p.Restart(t.Context(), Crash); err != nil {
		t.Fatal(err)
	}
	backend(t, simple(t, dsn))
}

func TestPgBouncerAsksForThePassword(t *testing.T) {
	t.Parallel()
	_, dsn := pooled(t)
	conn, err := pgx.Connect(t.Context(), strings.Replace(dsn, "open%20sesame", "wrong", 1))
	if err == nil {
		_ = conn.Close(t.Context())
	}
	if err == nil || !strings.Contains(err.Error(), "SASL authentication failed") {
		t.Errorf("a wrong password: %v, want it refused", err)
	}
}
