package demo

import (
	"context"
	"errors"
	"fmt"
	"os/exec"

	"github.com/understudy-worker/understudy/internal/dsn"
	"github.com/understudy-worker/understudy/internal/pgserver"
)

// database is the Postgres that the demo plays on.
type database struct {
	dsn   string
	where string       // as it is told
	guest bool         // somebody else's: the demo tidies up after itself
	close func() error // ends it; for a guest, nothing
}

// openDatabase uses the server of dsn or, without one, runs a temporary server
// from the binaries on this machine, else one in Docker.
func openDatabase(ctx context.Context, dsn string, say func(format string, args ...any)) (*database, error) {
	if dsn != "" {
		return &database{dsn: dsn, where: "the server of --dsn", guest: true, close: func() error { return nil }}, nil
	}
	server, err := pgserver.Start(ctx, pgserver.Options{Settings: map[string]string{"shared_buffers": "64MB"}})
	if err == nil {
		return &database{
			dsn: server.DSN("postgres"), where: "a temporary server from " + server.Bindir(), close: server.Stop,
		}, nil
	}
	if !errors.Is(err, pgserver.ErrNotFound) {
		return nil, err
	}
	return withoutBinaries(ctx, say)
}

// withoutBinaries runs a server in Docker, if it can.
func withoutBinaries(ctx context.Context, say func(format string, args ...any)) (*database, error) {
	if !dockerRuns(ctx) {
		return nil, fmt.Errorf("%w; or start Docker; or name a server with --dsn", pgserver.ErrNotFound)
	}
	say("no Postgres server binaries here: using Docker, image %s", dockerImage)
	return newContainer().open(ctx)
}

// dockerRuns says whether there is a docker command that reaches its daemon.
func dockerRuns(ctx context.Context) bool {
	return exec.CommandContext(ctx, "docker", "version").Run() == nil
}

// checkDSN says that a DSN cannot be used, and nothing of what may be a password in it.
func checkDSN(text string) error {
	_, err := dsn.Parse("--dsn", text)
	return err
}
