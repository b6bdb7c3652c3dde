package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"github.com/understudy-worker/understudy/reload"
	"github.com/understudy-worker/understudy/store"
	"github.com/understudy-worker/understudy/supervisor"
)

const (
	// commandConns is how many connections a command may take from a server
	// whose connections are the workers'.
	commandConns = 2
	// commandConnectTimeout bounds an attempt to connect where the DSN does not.
	commandConnectTimeout = 10 * time.Second
)

// client is a command's connection to one schema of a target.
type client struct {
	*store.Store
	target reload.Target
	pool   *pgxpool.Pool
}

// withClient connects to what the command is about for as long as do takes.
func (a *application) withClient(cmd *cobra.Command, f aim, do func(ctx context.Context, c *client) error) error {
	target, _, err := a.find(cmd, f)
	if err != nil {
		return err
	}
	c, err := connect(cmd.Context(), target)
	if err != nil {
		return err
	}
	defer c.pool.Close()
	err = do(cmd.Context(), c)
	if notMigrated(err) {
		return fmt.Errorf("schema %q of target %q is not migrated: run: understudy migrate up --target %[2]s --schema %[1]s", target.Schema, target.Name)
	}
	return explain(cmd.Context(), target, err)
}

// connect opens a small pool on the target, and makes sure that it answers.
func connect(ctx context.Context, target reload.Target) (*client, error) {
	config, err := pgxpool.ParseConfig(target.DSN.Reveal())
	if err != nil { // its text may hold parts of the DSN
		return nil, usagef("targets.%s.dsn cannot be parsed: use postgres://login:password@host:5432/database", target.Name)
	}
	config.MaxConns, config.MinConns, config.MinIdleConns = commandConns, 0, 0
	prepareConn(config.ConnConfig, target)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, unreachable(ctx, target, "dsn", err)
	}
	s, err := store.New(pool, target.Schema)
	if err == nil {
		if err = pool.Ping(ctx); err == nil {
			return &client{Store: s, target: target, pool: pool}, nil
		}
		err = unreachable(ctx, target, "dsn", err)
	}
	pool.Close()
	return nil, err
}

// prepareConn sets what a command's sessions need.
func prepareConn(config *pgx.ConnConfig, target reload.Target) {
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = commandConnectTimeout
	}
	if target.Pooler == reload.PoolerTransaction {
		config.DefaultQueryExecMode = pgx.QueryExecModeExec
		config.StatementCacheCapacity, config.DescriptionCacheCapacity = 0, 0
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "understudy command"
	}
}

// unreachable is the error of a target that cannot be connected to by the DSN
// under this key.
func unreachable(ctx context.Context, target reload.Target, key string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("connect to target %q: %s: check that its server is up and that targets.%[1]s.%[3]s is right", target.Name, oneLine(err), key)
}

// explain says what to do about an error, in one line, where that is known.
func explain(ctx context.Context, target reload.Target, err error) error {
	var refusal *store.Refusal
	var pgErr *pgconn.PgError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return context.Cause(ctx)
	case errors.As(err, &refusal) && refusal.Code == pgerrcode.InvalidParameterValue:
		return &usageError{err}
	case errors.As(err, &pgErr) && pgErr.Code == pgerrcode.InsufficientPrivilege:
		return fmt.Errorf("%w: the login of target %q may not do that: grant it, or use another login", err, target.Name)
	case strings.Contains(err.Error(), "\n"):
		return &lineError{err}
	}
	return supervisor.ExplainPooler(target, err)
}

// notMigrated says whether a statement met no schema, or one that lacks what
// migrations bring.
func notMigrated(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && slices.Contains([]string{
		pgerrcode.InvalidSchemaName, pgerrcode.UndefinedTable, pgerrcode.UndefinedFunction, pgerrcode.UndefinedColumn,
	}, pgErr.Code)
}

// lineError is an error on one line.
type lineError struct{ err error }

func (e *lineError) Error() string { return oneLine(e.err) }
func (e *lineError) Unwrap() error { return e.err }

// oneLine is an error's text on one line; what it says twice, as for a server
// that is tried with and without TLS, it says once.
func oneLine(err error) string {
	var lines []string
	for line := range strings.Lines(err.Error()) {
		if line = strings.TrimSpace(line); line != "" && !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return strings.ReplaceAll(strings.Join(lines, "; "), ":; ", ": ")
}
