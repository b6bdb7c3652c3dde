package app_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-worker/understudy/app"
	"github.com/understudy-worker/understudy/internal/pgserver"
	"github.com/understudy-worker/understudy/internal/pgtest"
)

// shellOn is a shell on a server of the test's own.
func shellOn(t *testing.T, server *pgserver.Server) *shell {
	t.Helper()
	s := &shell{t: t, dsn: server.DSN("postgres"), production: "production", preview: "preview"}
	s.environ = []string{"UNDERSTUDY_TARGETS__PRODUCTION__DSN=" + s.dsn, "UNDERSTUDY_TARGETS__PREVIEW__DSN=" + s.dsn}
	var err error
	if s.pool, err = pgxpool.New(t.Context(), s.dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.pool.Close)
	s.password = s.pool.Config().ConnConfig.Password
	return s
}

// halted halts a server until the returned function is called.
func halted(t *testing.T, server *pgserver.Server) (resume func()) {
	t.Helper()
	if err := server.Halt(false); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := server.Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// command is a command that runs beside the test.
type command struct {
	s        *shell
	out, err output
	done     chan int
}

func (s *shell) begin(args ...string) *command {
	c := &command{s: s, done: make(chan int, 1)}
	go func() {
		c.done <- app.Run(s.t.Context(), s.options, app.IO{Args: args, Environ: s.environ, In: strings.NewReader(""), Out: &c.out, Err: &c.err})
	}()
	return c
}

// waits waits until the command says that it waits for its server.
func (c *command) waits() {
	c.s.t.Helper()
	c.s.until("it waits for the server", func() bool {
		select {
		case code := <-c.done:
			c.s.t.Fatalf("exit code %d without waiting: %s", code, &c.err)
		default:
		}
		return c.err.contains("waiting for the server")
	})
}

// succeeds waits for the command's end and returns what it printed.
func (c *command) succeeds() string {
	c.s.t.Helper()
	if code := <-c.done; code != 0 {
		c.s.t.Fatalf("exit code %d: %s", code, &c.err)
	}
	if n := strings.Count(c.err.String(), "waiting for the server"); n != 1 {
		c.s.t.Errorf("it said %d times that it waits: %s", n, &c.err)
	}
	return c.out.String()
}

func TestMigrateUpWaitsForAServerThatIsDown(t *testing.T) {
	t.Parallel()
	server := pgtest.Server(t)
	s := shellOn(t, server)
	resume := halted(t, server)
	s.fails(1, []string{`connect to target "production"`, "check that its server is up"}, "migrate", "up")
	up := s.begin("migrate", "up", "--wait-server="+patience.String())
	up.waits()
	if !up.err.contains("refused") || !up.err.contains(`"at_most":"`+patience.String()+`"`) {
		t.Errorf("while it waits it says %s", &up.err)
	}
	resume()
	if out := up.succeeds(); !strings.Contains(out, ours("created: understudy 0 → {ours}")) {
		t.Errorf("printed %q", out)
	}
}

func TestMigrateUpWaitsNoLongerThanItIsTold(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	s.environ = append(s.environ, "UNDERSTUDY_TARGETS__PRODUCTION__DSN=postgres://app@127.0.0.1:1/jobs")
	r := s.run("migrate", "up", "--wait-server=1200ms")
	lines := strings.Split(strings.TrimSpace(r.err), "\n")
	if r.code != 1 || len(lines) != 2 || !strings.Contains(lines[0], "waiting for the server") ||
		!strings.HasPrefix(lines[1], `understudy: waited 1.2s for the server: connect to target "production": `) ||
		!strings.HasSuffix(lines[1], "check that its server is up and that targets.production.dsn is right") {
		t.Errorf("exit code %d, printed %q", r.code, lines)
	}
	s.fails(2, []string{"--wait-server -1s"}, "migrate", "up", "--wait-server=-1s")
}

func TestWhatAServerRefusesForGoodIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	dsn := pgtest.Database(t)
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	login := s.production // as unique a name as any
	s.exec("CREATE ROLE " + quoted(login) + " LOGIN PASSWORD 'topsecret'")
	s.exec("REVOKE CONNECT ON DATABASE " + quoted(config.Database) + " FROM PUBLIC")
	t.Cleanup(func() {
		if _, err := s.pool.Exec(context.Background(), "DROP ROLE "+quoted(login)); err != nil {
			t.Error(err)
		}
	})
	as := func(password, database string) string {
		return fmt.Sprintf("host=%s port=%d user=%s password=%s dbname=%s", config.Host, config.Port, login, password, database)
	}
	s.password = "topsecret"
	for name, c := range map[string]struct{ dsn, want string }{
		"password": {as("wrongsecret", config.Database), "check that the login and the password in targets.production.dsn are those of the server"},
		"database": {as("topsecret", login), "create the database, or name another in targets.production.dsn"},
		"grant":    {as("topsecret", config.Database), "grant the login CONNECT on the database"},
	} {
		s.environ = append(s.environ, "UNDERSTUDY_TARGETS__PRODUCTION__DSN="+c.dsn)
		for _, args := range []string{"migrate up --wait-server 1h", "smoke --target production --timeout 1h"} {
			s.fails(1, []string{`understudy: connect to target "production": `, c.want}, strings.Split(args, " ")...)
		}
		if r := s.run("migrate", "up"); strings.Contains(r.err, "wrongsecret") {
			t.Errorf("%s: the password is in %s", name, r.err)
		}
	}
}

// turnstile stands before a server, and turns the first to come away with a
// SQLSTATE each, as a server does that starts, is full or stops.
func turnstile(t *testing.T, server string, codes ...string) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var visitors sync.WaitGroup
	var came atomic.Int64
	visitors.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			visitors.Go(func() {
				defer conn.Close()
				if n := came.Add(1); n <= int64(len(codes)) {
					turnAway(t, conn, codes[n-1])
				} else {
					letPass(t, conn, server)
				}
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		visitors.Wait()
		if n := came.Load(); n <= int64(len(codes)) {
			t.Errorf("%d connected, want more than %d", n, len(codes))
		}
	})
	return listener.Addr().String()
}

func turnAway(t *testing.T, conn net.Conn, code string) {
	backend := pgproto3.NewBackend(conn, conn)
	if _, err := backend.ReceiveStartupMessage(); err != nil {
		t.Errorf("startup message: %v", err)
	}
	backend.Send(&pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: code, Message: "not now"})
	if err := backend.Flush(); err != nil {
		t.Errorf("send %s: %v", code, err)
	}
}

func letPass(t *testing.T, conn net.Conn, server string) {
	there, err := net.Dial("tcp", server)
	if err != nil {
		t.Error(err)
		return
	}
	defer there.Close()
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(conn, there) // until either closes
		conn.Close()
	})
	_, _ = io.Copy(there, conn)
	there.Close()
	back.Wait()
}

func TestAServerThatStartsIsFullOrStopsIsWaitedFor(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	config := s.pool.Config().ConnConfig
	through := turnstile(t, net.JoinHostPort(config.Host, fmt.Sprint(config.Port)), "57P03", "53300", "57P01")
	s.environ = append(s.environ, fmt.Sprintf("UNDERSTUDY_TARGETS__PRODUCTION__DSN=postgres://%s:%s@%s/%s?sslmode=disable",
		config.User, config.Password, through, config.Database))
	up := s.begin("migrate", "up", "--wait-server="+patience.String())
	if out := up.succeeds(); !strings.Contains(out, ours("created: understudy 0 → {ours}")) {
		t.Errorf("printed %q", out)
	}
}

func TestSmokeWaitsForAServerThatIsDown(t *testing.T) {
	t.Parallel()
	server := pgtest.Server(t)
	s := shellOn(t, server)
	s.ok("migrate", "up", "--target=preview")
	resume := halted(t, server)
	smoke := s.begin("smoke", "--count=3", "--timeout="+patience.String())
	smoke.waits()
	resume()
	s.pool.Reset()
	defer s.hand(s.preview, "pod-1", "").works(completes)()
	if out := smoke.succeeds(); !strings.Contains(out, "3 of 3 jobs ") {
		t.Errorf("printed %q", out)
	}
}

func TestSmokeOutlivesARestartOfItsServerBeforeItHasEnqueued(t *testing.T) {
	t.Parallel()
	server := pgtest.Server(t)
	s := shellOn(t, server)
	s.environ[1] = "UNDERSTUDY_TARGETS__PREVIEW__DSN=" + withParameter(s.dsn, "application_name", "smoke")
	var r ran
	wait := s.meanwhile(func() { r = s.run("smoke", "--count=3", "--timeout="+patience.String()) })
	s.await("smoke has tried in vain", "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = 'smoke' AND query ILIKE 'rollback%'")
	if err := server.Restart(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	s.pool.Reset()
	s.ok("migrate", "up", "--target=preview")
	defer s.hand(s.preview, "pod-1", "").works(completes)()
	if wait(); r.code != 0 || !strings.HasPrefix(r.out, "3 of 3 jobs ") {
		t.Errorf("exit code %d, printed %q and %q", r.code, r.out, r.err)
	}
}

func TestAnInterruptEndsTheWaitForAServer(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	s.environ = append(s.environ, "UNDERSTUDY_TARGETS__PRODUCTION__DSN=postgres://app@127.0.0.1:1/jobs")
	ctx, interrupt := context.WithCancelCause(t.Context())
	var said output
	done := make(chan int, 1)
	go func() {
		done <- app.Run(ctx, s.options, app.IO{Args: []string{"migrate", "up", "--wait-server=1h"}, Environ: s.environ, Err: &said})
	}()
	s.until("it waits", func() bool { return said.contains("waiting for the server") })
	interrupt(errors.New("interrupted by a test"))
	if code := <-done; code != 1 || !strings.HasSuffix(said.String(), "\nunderstudy: interrupted by a test\n") {
		t.Errorf("exit code %d, printed %q", code, &said)
	}
}
