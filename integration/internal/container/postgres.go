package container

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/moby/moby/api/types/container"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/modules/postgres"
)

const (
	superuser    = "postgres"
	postgresPort = "5432/tcp"
	// socketDir is where the server's socket is, on a volume that PgBouncer shares.
	socketDir = "/var/run/postgresql"
	shmBytes  = 256 << 20
	// pingPatience bounds one attempt to connect: a frozen server never answers, and
	// a busy one is kept busy by who gives up and begins again.
	pingPatience = 30 * time.Second
)

// Postgres is a running server. Its methods that take a context may be called
// from any goroutine.
type Postgres struct {
	*server
	login    string
	password string
	major    int
}

// StartPostgres starts a server of this test's own with settings of
// postgresql.conf. It is removed when the test ends, and the end of its log
// shown if the test failed.
func StartPostgres(t testing.TB, settings map[string]string) *Postgres {
	t.Helper()
	skipIfShort(t)
	p, err := startPostgres(t.Context(), superuser, settings)
	if err != nil {
		t.Fatalf("this test needs a Postgres server in a container (or -short): %v", err)
	}
	t.Cleanup(func() { p.end(t, "Postgres") })
	return p
}

// startPostgres starts a server whose superuser is login.
func startPostgres(ctx context.Context, login string, settings map[string]string, extra ...testcontainers.ContainerCustomizer) (*Postgres, error) {
	e, err := docker()
	if err != nil {
		return nil, err
	}
	image, err := e.postgresImage(ctx)
	if err != nil {
		return nil, err
	}
	p := &Postgres{login: login, password: rand.Text()}
	run := func(ctx context.Context, options ...testcontainers.ContainerCustomizer) (testcontainers.Container, error) {
		return postgres.Run(ctx, image, slices.Concat(options, p.options(settings), extra)...)
	}
	if p.server, err = e.launch(ctx, postgresPort, run, func(host *container.HostConfig) { host.ShmSize = shmBytes }); err != nil {
		return nil, fmt.Errorf("run %s: %w", image, err)
	}
	if err := p.awaitReady(ctx, p.ping); err != nil {
		return nil, errors.Join(fmt.Errorf("run %s: %w", image, err), p.remove(context.WithoutCancel(ctx)))
	}
	return p, nil
}

// options are what the container of a server is made of.
func (p *Postgres) options(settings map[string]string) []testcontainers.ContainerCustomizer {
	return []testcontainers.ContainerCustomizer{
		postgres.WithUsername(p.login),
		postgres.WithPassword(p.password),
		testcontainers.WithCmdArgs(arguments(settings)...),
		testcontainers.WithConfigModifier(func(config *container.Config) {
			config.Volumes = map[string]struct{}{socketDir: {}}
		}),
	}
}

// disposable are the settings of a server whose data nobody needs after a
// crash of the machine. Commits still survive a crash of the server alone.
var disposable = map[string]string{
	"fsync":            "off",
	"full_page_writes": "off",
	"max_connections":  "300",
	"shared_buffers":   "64MB",
	// Many schemas are created and dropped, each drop in one transaction.
	"max_locks_per_transaction": "256",
}

// arguments are the command line for settings on top of the defaults.
func arguments(settings map[string]string) []string {
	all := maps.Clone(disposable)
	maps.Copy(all, settings)
	var args []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		args = append(args, "-c", name+"="+all[name])
	}
	return args
}

// ping connects, and learns the server's version.
func (p *Postgres) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pingPatience)
	defer cancel()
	conn, err := pgx.Connect(ctx, p.DSN("postgres"))
	if err != nil {
		return err
	}
	if p.major == 0 {
		var version int
		if err = conn.QueryRow(ctx, "SELECT current_setting('server_version_num')::int").Scan(&version); err == nil {
			p.major = version / 10_000
		}
	}
	return errors.Join(err, conn.Close(ctx))
}

// Major is the server's major version.
func (p *Postgres) Major() int { return p.major }

// DSN is the URL of a database on this server for its superuser, password
// included. It stays good over restarts. The server starts with one database,
// "postgres".
func (p *Postgres) DSN(database string) string { return p.LoginDSN(p.login, p.password, database) }

// LoginDSN is the URL of a database for another login.
func (p *Postgres) LoginDSN(login, password, database string) string {
	return dsn(p.Address(), login, password, database)
}

func dsn(address, login, password, database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(login, password),
		Host:     address,
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}
