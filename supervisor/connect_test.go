package supervisor_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/understudy-worker/understudy/internal/pgtest"
	"github.com/understudy-worker/understudy/reload"
	"github.com/understudy-worker/understudy/supervisor"
)

func TestAConnectionThatFailsIsOneLineThatSaysWhatToDo(t *testing.T) {
	t.Parallel()
	answer := func(code string) error { return &pgconn.PgError{Severity: "FATAL", Code: code, Message: "no"} }
	for _, c := range []struct {
		err  error
		want string
	}{
		{answer("28P01"), "FATAL: no (SQLSTATE 28P01): check that the login and the password in KEY are those of the server, and that it lets the login in from here"},
		{answer("28000"), "FATAL: no (SQLSTATE 28000): check that the login and the password in KEY are those of the server, and that it lets the login in from here"},
		{answer("3D000"), "FATAL: no (SQLSTATE 3D000): create the database, or name another in KEY"},
		{answer("42501"), "FATAL: no (SQLSTATE 42501): grant the login CONNECT on the database"},
		{answer("53300"), "FATAL: no (SQLSTATE 53300): let fewer sessions connect, or raise the server's max_connections"},
		{answer("57P03"), "FATAL: no (SQLSTATE 57P03): wait until the server takes connections"},
		{answer("08P01"), "FATAL: no (SQLSTATE 08P01)"},
		{&net.DNSError{Err: "no such host", Name: "db", IsNotFound: true}, "lookup db: no such host: check that the host in KEY is right and that its server is there"},
		{errors.New("resolve: no such host\nno such host"), "resolve: no such host: check that its server is up and that KEY is right"},
		{errors.New("refused"), "refused: check that its server is up and that KEY is right"},
		{errors.New("tried:\n\tno TLS\n\trefused\n\trefused\n"), "tried: no TLS; refused: check that its server is up and that KEY is right"},
	} {
		err := &supervisor.ConnectError{Target: "production", Key: "targets.production.dsn_file", Err: fmt.Errorf("%w", c.err)}
		want := `connect to target "production": ` + strings.ReplaceAll(c.want, "KEY", "targets.production.dsn_file")
		if err.Error() != want {
			t.Errorf("%v\nis said as %s\nwant       %s", c.err, err, want)
		}
	}
}

func TestATargetThatCannotBeConnectedToShowsWhatToDo(t *testing.T) {
	t.Parallel()
	config, err := pgx.ParseConfig(pgtest.DSN(t))
	if err != nil {
		t.Fatal(err)
	}
	for dsn, want := range map[string]string{
		fmt.Sprintf("host=%s port=%d user=nobody_at_all password=hunter2 dbname=%s", config.Host, config.Port, config.Database): "the login and the password in targets.production.dsn_file",
		"postgres://app:hunter2@127.0.0.1:1/jobs":  "check that its server is up and that targets.production.dsn_file is right",
		"postgres://app:hunter2%zz@127.0.0.1/jobs": "targets.production.dsn_file cannot be parsed: use postgres://",
	} {
		s := perform(t, untilDone)
		s.want(reload.Snapshot{Role: "active", Target: reload.Target{Name: "production", Schema: "x", DSN: reload.Secret(dsn), DSNFile: "/secrets/dsn"}})
		until(t, "the problem shows", func() bool { return s.sup.Status().Problem != "" })
		if got := s.sup.Status().Problem; !strings.Contains(got, want) || strings.Contains(got, "hunter2") || strings.Contains(got, "\n") {
			t.Errorf("the problem is %q, want %q in it", got, want)
		}
	}
}

func TestAConnectionUsesANewLoginOfItsOwnDatabaseAlone(t *testing.T) {
	t.Parallel()
	for dsn, want := range map[string]string{
		"postgres://new:b@db.example:5432/shop":    "new b",
		"postgres://new:b@other.example/shop":      "old a",
		"postgres://new:b@db.example:5433/shop":    "old a",
		"postgres://new:b@db.example/shop_2":       "old a",
		"postgres://new:b@db.example:no-port/shop": "old a",
	} {
		config, err := pgx.ParseConfig("postgres://old:a@db.example/shop")
		if err != nil {
			t.Fatal(err)
		}
		if supervisor.RenewLogin(config, reload.Secret(dsn)); config.User+" "+config.Password != want {
			t.Errorf("%s: it logs in as %s %s, want %s", dsn, config.User, config.Password, want)
		}
	}
}
