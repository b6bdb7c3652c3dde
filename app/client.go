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

	"github.com/understudy-worker/understudy/internal/dsn"
	"github.com/understudy-worker/understudy/internal/session"
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
	// readOnlyPatience bounds how long it may take to find out why nothing can be written.
	readOnlyPatience = 5 * time.Second
)

// client is a command's connection to one schema of a target.
type client struct {
	*store.Store
	target reload.Target
	pool   *pgxpool.Pool
}

// withClient connects to what the command is about for as long as do takes.
func (a *application) withClient(cmd *cobra.Command, f aim, do func(ctx context.Context, c *client) error) error {
	return a.withPatientClient(cmd, f, 0, do)
}

// withPatientClient is withClient for a server that may take a while to answer.
func (a *application) withPatientClient(cmd *cobra.Command, f aim, wait time.Duration, do func(ctx context.Context, c *client) error) error {
	target, config, err := a.find(cmd, f, reload.ReadTarget)
	if err != nil {
		return err
	}
	var more []func(*pgxpool.Config)
	if f.writes {
		more = append(more, supervisor.RefuseStandbys)
	}
	c, err := newClient(cmd.Context(), target, more...)
	if err != nil {
		return err
	}
	defer c.pool.Close()
	connect := c.ping
	if wait > 0 {
		connect = c.knock
	}
	server := serverWait{atMost: wait, log: a.newLogger(cmd.ErrOrStderr(), config.Log)}
	if err = server.until(cmd.Context(), connect); err == nil {
		err = store.CheckAccess(cmd.Context(), c.pool, target.Schema)
	}
	if err == nil {
		err = do(cmd.Context(), c)
	}
	var bound *store.BoundError
	if errors.As(err, &bound) {
		return fmt.Errorf("%w: run: understudy migrate up --target %s --schema %s", err, target.Name, target.Schema)
	}
	err = explainReadOnly(cmd.Context(), c.pool, err)
	if notMigrated(err) {
		return fmt.Errorf("schema %q of target %q is not migrated: run: understudy migrate up --target %[2]s --schema %[1]s", target.Schema, target.Name)
	}
	return explain(cmd.Context(), target, err)
}

// explainReadOnly says what makes the server refuse to write, if it does.
func explainReadOnly(ctx context.Context, pool *pgxpool.Pool, err error) error {
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) || pgErr.Code != pgerrcode.ReadOnlySQLTransaction {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, readOnlyPatience)
	defer cancel()
	var readOnly *session.ReadOnlyError
	because := pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error { return session.CheckReadOnly(ctx, conn.Conn().PgConn()) })
	if errors.As(because, &readOnly) {
		return fmt.Errorf("%w: %w", err, readOnly)
	}
	return err
}

// newClient makes a small pool for the target. It does not connect. Each of more
// changes the pool's configuration.
func newClient(ctx context.Context, target reload.Target, more ...func(*pgxpool.Config)) (*client, error) {
	config, err := dsn.Parse(target.DSNKey(), target.DSN.Reveal())
	if err != nil {
		return nil, &usageError{err}
	}
	config.MaxConns, config.MinConns, config.MinIdleConns = commandConns, 0, 0
	prepareConn(config.ConnConfig, target)
	for _, change := range more {
		change(config)
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("target %q: %w", target.Name, err)
	}
	s, err := store.New(pool, target.Schema)
	if err != nil {
		pool.Close()
		return nil, err
	}
	return &client{Store: s, target: target, pool: pool}, nil
}

// ping makes sure that the server answers.
func (c *client) ping(ctx context.Context) error {
	if err := c.pool.Ping(ctx); err != nil {
		return unreachable(ctx, c.target, c.target.DSNKey(), err)
	}
	return nil
}

// knock is ping on a connection of its own: when ctx ends, a pool does not say
// how far it came.
func (c *client) knock(ctx context.Context) error {
	conn, err := pgx.ConnectConfig(ctx, c.pool.Config().ConnConfig)
	if err != nil {
		return unreachable(ctx, c.target, c.target.DSNKey(), err)
	}
	closeConn(ctx, conn)
	return nil
}

// closeConn closes a connection in moderate time, whatever ctx says.
func closeConn(ctx context.Context, conn *pgx.Conn) {
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = conn.Close(closing) // nothing is lost with it
}

// unreachable is the error of a target that cannot be connected to by the DSN
// under this key.
func unreachable(ctx context.Context, target reload.Target, key string, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return context.Cause(ctx)
	}
	return &supervisor.ConnectError{Target: target.Name, Key: key, Err: err}
}

// commandSettings are what a command's statements rely on. They name their schema.
var commandSettings = session.Ours.With(session.Settings{"search_path": "pg_catalog, pg_temp"})

// prepareConn sets what a command's sessions need.
func prepareConn(config *pgx.ConnConfig, target reload.Target) {
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = commandConnectTimeout
	}
	if target.Pooler == reload.PoolerTransaction {
		config.DefaultQueryExecMode = pgx.QueryExecModeExec
		config.StatementCacheCapacity, config.DescriptionCacheCapacity = 0, 0
		session.RelyOnDriverThroughPooler(config)
	} else {
		session.RelyOnDriver(config)
		session.SetUnlessLent(config, commandSettings)
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "understudy command"
	}
}

// explain says what to do about an error, in one line, where that is known.
func explain(ctx context.Context, target reload.Target, err error) error {
	var refusal *store.Refusal
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return context.Cause(ctx)
	case errors.As(err, &refusal) && refusal.Code == pgerrcode.InvalidParameterValue:
		return &usageError{err}
	case notPermitted(err):
		return explainPermission(target, err)
	case strings.Contains(err.Error(), "\n"):
		return &lineError{err}
	}
	return supervisor.ExplainPooler(target, err)
}

// explainPermission says what to do about a right that a login lacks.
func explainPermission(target reload.Target, err error) error {
	if !notPermitted(err) {
		return err
	}
	return fmt.Errorf("%w: the login of target %q may not do that: grant it, or use another login", err, target.Name)
}

// notPermitted says whether a login lacks a right, other than that to connect,
// whose error says what to do already.
func notPermitted(err error) bool {
	var connect *supervisor.ConnectError
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && pgErr.Code == pgerrcode.InsufficientPrivilege && !errors.As(err, &connect)
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

func (e *lineError) Error() string { return supervisor.OneLine(e.err) }
func (e *lineError) Unwrap() error { return e.err }
