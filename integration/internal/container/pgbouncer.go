package container

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/moby/moby/api/types/container"
	"github.com/testcontainers/testcontainers-go"
)

const (
	bouncerPort = "6432/tcp"
	configFile  = "/etc/pgbouncer/pgbouncer.ini"
	usersFile   = "/etc/pgbouncer/userlist.txt"
	// watcher is the login that may look at PgBouncer and nothing else.
	watcher = "understudy_watcher"
)

// PgBouncer is a running pooler before a server.
type PgBouncer struct {
	*server
	password string // the watcher's
}

// StartPgBouncer runs Debian's PgBouncer in transaction mode before the server,
// for logins, names and passwords, that exist on it. It reaches the server by
// its socket, over restarts too, and is removed when the test ends.
func StartPgBouncer(t testing.TB, p *Postgres, logins map[string]string) *PgBouncer {
	t.Helper()
	b, err := startPgBouncer(t.Context(), p, logins)
	if err != nil {
		t.Fatalf("this test needs PgBouncer in a container: %v", err)
	}
	t.Cleanup(func() { b.end(t, "PgBouncer") })
	return b
}

func startPgBouncer(ctx context.Context, p *Postgres, logins map[string]string) (*PgBouncer, error) {
	if !p.engine.has(ctx, bouncerImage) {
		return nil, fmt.Errorf("there is no image %s on this machine: run hack/postgres-image.sh --pgbouncer, or make test, which does", bouncerImage)
	}
	b := &PgBouncer{password: rand.Text()}
	users, err := b.users(logins)
	if err != nil {
		return nil, err
	}
	run := func(ctx context.Context, options ...testcontainers.ContainerCustomizer) (testcontainers.Container, error) {
		return testcontainers.Run(ctx, bouncerImage, append(options, bouncerOptions(users)...)...)
	}
	if b.server, err = p.engine.launch(ctx, bouncerPort, run, func(host *container.HostConfig) {
		// Read-only, for it needs the socket and not the data beside it.
		host.VolumesFrom = []string{p.container.GetContainerID() + ":ro"}
		host.RestartPolicy = container.RestartPolicy{Name: container.RestartPolicyOnFailure}
	}); err != nil {
		return nil, fmt.Errorf("run PgBouncer of %s: %w", bouncerImage, err)
	}
	if err := b.awaitReady(ctx, b.ping); err != nil {
		return nil, errors.Join(fmt.Errorf("run PgBouncer of %s: %w", bouncerImage, err), b.remove(context.WithoutCancel(ctx)))
	}
	return b, nil
}

// config leaves at PgBouncer's defaults what the tests need not differ in.
const config = `[databases]
* = host=` + socketDir + `
[pgbouncer]
listen_addr = *
listen_port = 6432
unix_socket_dir =
auth_type = scram-sha-256
auth_file = ` + usersFile + `
pool_mode = transaction
max_client_conn = 1000
default_pool_size = 60
stats_users = ` + watcher + "\n"

func bouncerOptions(users string) []testcontainers.ContainerCustomizer {
	return []testcontainers.ContainerCustomizer{
		testcontainers.WithEntrypoint("gosu", "postgres", "pgbouncer"),
		testcontainers.WithCmd(configFile),
		testcontainers.WithFiles(
			testcontainers.ContainerFile{Reader: strings.NewReader(config), ContainerFilePath: configFile, FileMode: 0o644},
			testcontainers.ContainerFile{Reader: strings.NewReader(users), ContainerFilePath: usersFile, FileMode: 0o644},
		),
	}
}

// users is PgBouncer's file of logins.
func (b *PgBouncer) users(logins map[string]string) (string, error) {
	all := maps.Clone(logins)
	if all == nil {
		all = map[string]string{}
	}
	all[watcher] = b.password
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if strings.ContainsAny(name+all[name], "\"\n") {
			return "", fmt.Errorf("login %q: neither it nor its password may hold a quote or a line's end", name)
		}
		fmt.Fprintf(&text, "\"%s\" \"%s\"\n", name, all[name])
	}
	return text.String(), nil
}

// Crashed says whether PgBouncer has crashed, after which it was started again.
// This version does, now and then, when a statement is cancelled under load:
// https://github.com/pgbouncer/pgbouncer/issues/822.
func (b *PgBouncer) Crashed(ctx context.Context) (bool, error) {
	log, err := b.Log(ctx)
	return strings.Contains(log, " FATAL @"), err
}

// ping asks PgBouncer itself, not the server behind it. Its console knows the
// simple protocol only.
func (b *PgBouncer) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pingPatience)
	defer cancel()
	config, err := pgx.ParseConfig(b.LoginDSN(watcher, b.password, "pgbouncer"))
	if err != nil {
		return err
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "SHOW VERSION")
	return errors.Join(err, conn.Close(ctx))
}

// LoginDSN is the URL of a database behind the pooler for a login.
func (b *PgBouncer) LoginDSN(login, password, database string) string {
	return dsn(b.Address(), login, password, database)
}
