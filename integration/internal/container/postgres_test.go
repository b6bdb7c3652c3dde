package container

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func TestRestartsKeepCommitsAndTheDSN(t *testing.T) {
	t.Parallel()
	server := StartPostgres(t, nil)
	dsn := server.DSN("postgres")
	run(t, dsn, "CREATE TABLE things (id int)")
	for i, how := range []Shutdown{Fast, Immediate, Crash} {
		session := open(t, dsn)
		run(t, dsn, "INSERT INTO things VALUES (1)")
		if err := server.Restart(t.Context(), how); err != nil {
			t.Fatalf("restart by %s: %v", how, err)
		}
		if session.Ping(t.Context()) == nil {
			t.Errorf("a session outlived a restart by %s", how)
		}
		if got := query[int](t, dsn, "SELECT count(*)::int FROM things"); got != i+1 {
			t.Errorf("%d rows after a restart by %s, want %d", got, how, i+1)
		}
	}
	if got := server.DSN("postgres"); got != dsn {
		t.Error("the DSN changed with a restart")
	}
}

func TestAStoppedServerRefusesConnectionsUntilItIsStarted(t *testing.T) {
	t.Parallel()
	server := StartPostgres(t, nil)
	if err := server.Stop(t.Context(), Fast); err != nil {
		t.Fatal(err)
	}
	if _, err := pgx.Connect(t.Context(), server.DSN("postgres")); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a connection to a stopped server: %v, want it refused", err)
	}
	if err := server.Stop(t.Context(), Fast); err != nil {
		t.Errorf("a second Stop: %v, want no error", err)
	}
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	open(t, server.DSN("postgres"))
}

func TestAFrozenServerAnswersNobodyAndGoesOnWhenThawed(t *testing.T) {
	t.Parallel()
	server := StartPostgres(t, nil)
	session := open(t, server.DSN("postgres"))
	if err := server.Freeze(t.Context()); err != nil {
		t.Fatal(err)
	}
	answer := make(chan error, 1)
	go func() { answer <- session.Ping(context.Background()) }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := pgx.Connect(ctx, server.DSN("postgres")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a connection to a frozen server: %v, want no answer", err)
	}
	select {
	case err := <-answer:
		t.Fatalf("a frozen server answered: %v", err)
	default:
	}
	if err := server.Thaw(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-answer; err != nil {
		t.Errorf("the session after the thaw: %v", err)
	}
}

func TestAFrozenServerIsRemovedWithItsTest(t *testing.T) {
	t.Parallel()
	needEngine(t)
	var server *Postgres
	started := t.Run("user", func(t *testing.T) {
		server = StartPostgres(t, nil)
		if err := server.Freeze(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	if !started {
		return
	}
	if _, err := server.Log(t.Context()); err == nil {
		t.Error("the container outlived its test")
	}
}

func TestSettingsReplaceTheDefaults(t *testing.T) {
	t.Parallel()
	dsn := StartPostgres(t, map[string]string{"max_connections": "17", "understudy.test": `it's a "test"`}).DSN("postgres")
	for name, want := range map[string]string{
		"max_connections": "17", "understudy.test": `it's a "test"`, "fsync": "off", "max_locks_per_transaction": "256",
	} {
		if got := query[string](t, dsn, "SHOW "+name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
}

func TestASettingThatPostgresRefusesIsAnErrorWithItsComplaint(t *testing.T) {
	t.Parallel()
	needEngine(t)
	_, err := startPostgres(t.Context(), superuser, map[string]string{"max_connections": "many"})
	if err == nil || !strings.Contains(err.Error(), `"max_connections": "many"`) {
		t.Errorf("error %v, want the server's complaint about max_connections", err)
	}
}

func TestSharedServerIsOne(t *testing.T) {
	t.Parallel()
	if a, b := Shared(t), Shared(t); a != b {
		t.Errorf("two shared servers: %s and %s", a.Address(), b.Address())
	}
}

func TestADatabaseIsDroppedWithItsSessions(t *testing.T) {
	t.Parallel()
	server := Shared(t)
	var session *pgx.Conn
	var name string
	used := t.Run("user", func(t *testing.T) {
		name = server.Database(t)
		var err error
		if session, err = pgx.Connect(t.Context(), server.DSN(name)); err != nil {
			t.Fatal(err)
		}
	})
	if !used {
		return
	}
	if session.Ping(t.Context()) == nil {
		t.Error("a session outlived the database")
	}
	_ = session.Close(t.Context())
	if got := query[int](t, server.DSN("postgres"), "SELECT count(*)::int FROM pg_database WHERE datname = '"+name+"'"); got != 0 {
		t.Errorf("%d databases are called %q after the test", got, name)
	}
}

func TestMajorIsTheServersVersion(t *testing.T) {
	t.Parallel()
	server := Shared(t)
	if want := query[int](t, server.DSN("postgres"), "SELECT current_setting('server_version_num')::int / 10000"); server.Major() != want {
		t.Errorf("major version %d, want %d", server.Major(), want)
	}
}

func TestExecRunsAsRootAndQuotesWhatACommandThatFailsPrinted(t *testing.T) {
	t.Parallel()
	server := Shared(t)
	if out, err := server.Exec(t.Context(), "id", "-un"); err != nil || out != "root\n" {
		t.Errorf("id printed %q, error %v; want root", out, err)
	}
	_, err := server.Exec(t.Context(), "sh", "-c", "echo no such luck >&2; exit 3")
	if want := "sh ended in its container with exit code 3: no such luck"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}
