package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/understudy-worker/understudy/reload"
	"github.com/understudy-worker/understudy/store"
)

// defaultLockWait bounds how long a migration waits for another: what holds the
// lock may be no migration at all.
const defaultLockWait = 5 * time.Minute

func (a *application) migrateCommand() *cobra.Command {
	return group("migrate", "Bring a target's schema up to date, or say how far it is", a.migrateUpCommand(), a.migrateStatusCommand())
}

func (a *application) migrateUpCommand() *cobra.Command {
	var f aim
	var out output
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Create a target's schema where it is missing, and migrate it",
		Long: `Create a target's schema where it is missing, and migrate it: the worker's own
tables first, then the application's migrations. Any number of these may run at
a time. A schema that is further than this version needs is left as it is.

A migration that fails half-way leaves the schema dirty. A preview's schema that
a worker or this command created is then made anew by the next run; any other
is never dropped, and the command says what to do.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := a.migrator(cmd, f)
			if err != nil {
				return err
			}
			m.preparer.lockWait = wait
			report, err := m.up(cmd.Context())
			if err != nil {
				return explain(cmd.Context(), m.target, err)
			}
			return out.migrated(cmd, report)
		},
	}
	f.flags(cmd, "production")
	out.flag(cmd, "text")
	cmd.Flags().DurationVar(&wait, "wait", defaultLockWait, "how long to wait for another session that migrates the schema; 0 for as long as it takes")
	return cmd
}

func (a *application) migrateStatusCommand() *cobra.Command {
	var f aim
	var out output
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say how far a target's schema is",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := a.migrator(cmd, f)
			if err != nil {
				return err
			}
			status, err := m.inspect(cmd.Context())
			if err != nil {
				return explain(cmd.Context(), m.target, err)
			}
			return out.migrationStatus(cmd, newMigrationReport(m.target, status))
		},
	}
	f.flags(cmd, "production")
	out.flag(cmd, "table")
	return cmd
}

// migrator migrates one schema.
type migrator struct {
	preparer *preparer
	target   reload.Target
	files    fs.FS // the application's own migrations, nil for none
	config   *pgx.ConnConfig
}

func (a *application) migrator(cmd *cobra.Command, f aim) (*migrator, error) {
	target, config, err := a.find(cmd, f)
	if err != nil {
		return nil, err
	}
	m := &migrator{target: target, preparer: &preparer{app: a.Migrations, log: newLogger(cmd.ErrOrStderr(), config.Log)}}
	if m.files, err = m.preparer.files(target); err != nil {
		return nil, &usageError{err}
	}
	if m.config, err = migrationConfig(target); err != nil {
		return nil, &usageError{err}
	}
	target.Pooler = reload.PoolerNone // migrations go past it
	prepareConn(m.config, target)
	return m, nil
}

// inspect asks the schema how far it is.
func (m *migrator) inspect(ctx context.Context) (status store.MigrationStatus, err error) {
	conn, err := pgx.ConnectConfig(ctx, m.config)
	if err != nil {
		key := "dsn"
		if m.target.MigrateDSN != "" {
			key = "migrate_dsn"
		}
		return status, unreachable(ctx, m.target, key, err)
	}
	status, err = store.Inspect(ctx, conn, m.target.Schema, m.files)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	return status, errors.Join(err, conn.Close(closing))
}

// up migrates the schema and says from where to where.
func (m *migrator) up(ctx context.Context) (report migrationReport, err error) {
	before, err := m.inspect(ctx)
	if err != nil {
		return report, err
	}
	if before.DirtyAhead() {
		return report, fmt.Errorf("schema %q is %s: a later version's migration failed half-way or is under way; let that version's migrate up finish or repair it",
			m.target.Schema, before)
	}
	if !before.Serves() {
		if err := m.preparer.migrate(ctx, m.target); err != nil {
			return report, m.failure(ctx, err)
		}
	}
	after, err := m.inspect(ctx)
	if err != nil {
		return report, err
	}
	return newMigrationReport(m.target, after).since(before), nil
}

// failure is the error of a migration that failed, with what to do where it
// left the schema dirty.
func (m *migrator) failure(ctx context.Context, err error) error {
	var dirty *store.DirtyError
	if errors.As(err, &dirty) || ctx.Err() != nil {
		return err
	}
	status, inspectErr := m.inspect(ctx)
	switch {
	case inspectErr != nil:
		return fmt.Errorf("%w: how far the schema came cannot be found out now: when the server is back, ask understudy migrate status --target %s", err, m.target.Name)
	case !status.Dirty():
		return err
	case mark(m.target) != "":
		return fmt.Errorf("%w: mend it and run migrate up again", err)
	}
	return fmt.Errorf("%w: %w", err, &store.DirtyError{Schema: m.target.Schema, Status: status})
}
