package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-worker/understudy/internal/dsn"
	"github.com/understudy-worker/understudy/internal/session"
	"github.com/understudy-worker/understudy/reload"
	"github.com/understudy-worker/understudy/store"
	"github.com/understudy-worker/understudy/supervisor"
)

// workerLockWait is how long a worker waits for another session that migrates
// its schema before it reports that, and tries again.
const workerLockWait = 10 * time.Second

// preparer sees that a target's schema is as far as this binary needs.
type preparer struct {
	app      fs.FS // Options.Migrations
	log      *slog.Logger
	lockWait time.Duration // for another session that migrates; 0 for any time
	initial  bool          // leave a schema that a worker has worked in as it is
}

// prepare migrates the target or checks that somebody has, as it is configured.
func (p *preparer) prepare(ctx context.Context, pool *pgxpool.Pool, target reload.Target) error {
	files, err := p.files(target)
	if err != nil {
		return err
	}
	if err := checkPlace(ctx, pool, target); err != nil {
		return err
	}
	status, err := store.Inspect(ctx, pool, target.Schema, files)
	if err != nil {
		return explainPermission(target, err)
	}
	if status.DirtyAhead() {
		p.log.Warn("a migration of a later version failed half-way; this version does not need it and serves on",
			"target", target.Name, "schema", target.Schema, "status", status.String())
	}
	switch {
	case status.Serves():
	case target.Migrations == reload.MigrationsApply:
		if err := p.migrate(ctx, target); err != nil {
			return explainPermission(target, err)
		}
	default:
		return behind(target, status)
	}
	return p.checkSchema(ctx, pool, target)
}

// checkSchema finds what the login may not do or see, and ids that would be given
// twice, before the first claim.
func (p *preparer) checkSchema(ctx context.Context, pool *pgxpool.Pool, target reload.Target) error {
	if err := store.CheckGrants(ctx, pool, target.Schema); err != nil {
		return err
	}
	doubts, err := store.CheckRows(ctx, pool, target.Schema)
	if len(doubts) > 0 {
		p.log.Warn("triggers may leave rows out of what a worker writes: jobs are lost, or run again, where they do",
			"target", target.Name, "schema", target.Schema, "triggers", strings.Join(doubts, ", "))
	}
	if err != nil {
		return err
	}
	return store.CheckSequence(ctx, pool, target.Schema)
}

// behind says what to run before a schema can be served.
func behind(target reload.Target, status store.MigrationStatus) error {
	return fmt.Errorf("schema %q of target %q is %s; with the same configuration and the login of its owner, run: understudy migrate up --target %s", target.Schema, target.Name, status, target.Name)
}

// checkPlace finds a pooler of which the configuration says nothing, and a
// database that cannot hold jobs or is not to be written to.
func checkPlace(ctx context.Context, pool *pgxpool.Pool, target reload.Target) error {
	return pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		if target.Pooler != reload.PoolerTransaction {
			err := store.CheckSession(ctx, conn.Conn())
			if errors.Is(err, store.ErrShared) {
				return fmt.Errorf("%w: set targets.%s.pooler to transaction", err, target.Name)
			}
			if err != nil {
				return err
			}
		}
		err := store.CheckEncoding(ctx, conn)
		if err == nil {
			err = session.CheckReadOnly(ctx, conn.Conn().PgConn())
		}
		if err != nil {
			return fmt.Errorf("target %q: %w", target.Name, err)
		}
		return nil
	})
}

// migrate brings the target's schema up to date.
func (p *preparer) migrate(ctx context.Context, target reload.Target) error {
	files, err := p.files(target)
	if err != nil {
		return err
	}
	config, key, err := migrationConfig(target)
	if err != nil {
		return err
	}
	supervisor.RefuseStandby(config)
	err = store.Migrate(ctx, config, store.MigrateOptions{
		Schema: target.Schema, App: files, Mark: mark(target), Initial: p.initial, LockWait: p.lockWait, Log: p.log,
	})
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) {
		return unreachable(ctx, target, key, connect)
	}
	return err
}

// mark is what a schema that this target creates is marked with. Only previews
// are, and so may be dropped when they are dirty: targets whose name says so.
func mark(target reload.Target) string {
	if strings.HasPrefix(target.Name, "preview") {
		return store.PreviewMark(target.Name)
	}
	return ""
}

// files are the application's own migrations for a target; nil for none.
func (p *preparer) files(target reload.Target) (fs.FS, error) {
	if target.AppMigrations == "" {
		return p.app, nil
	}
	info, err := os.Stat(target.AppMigrations)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is not a directory", target.AppMigrations)
	}
	if err != nil {
		return nil, fmt.Errorf("targets.%s.app_migrations: %w", target.Name, err)
	}
	return os.DirFS(target.AppMigrations), nil
}

// migrationConfig is how to connect for migrations, which need a session of
// their own, and the key of the configuration that says so.
func migrationConfig(target reload.Target) (config *pgx.ConnConfig, key string, err error) {
	secret, key, err := target.MigrationDSN()
	if err != nil {
		return nil, key, err
	}
	if key == target.DSNKey() && target.Pooler == reload.PoolerTransaction {
		return nil, key, fmt.Errorf("neither targets.%[1]s.migrate_dsn nor targets.%[1]s.migrate_dsn_file is set: migrations cannot go through a transaction pooler, give a DSN past it", target.Name)
	}
	pool, err := dsn.Parse(key, secret.Reveal()) // knows pool_max_conns and the like, which a server does not
	if err != nil {
		return nil, key, err
	}
	config = pool.ConnConfig
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = commandConnectTimeout
	}
	// Nothing is prepared, so that a pooler is found for what it is.
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	return config, key, nil
}
