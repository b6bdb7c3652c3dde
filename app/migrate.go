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
	"github.com/understudy-worker/understudy/supervisor"
)

// defaultLockWait bounds how long a migration waits: what holds what it needs may
// be no migration, and may go on for ever.
const defaultLockWait = 5 * time.Minute

func (a *application) migrateCommand() *cobra.Command {
	return group("migrate", "Bring a target's schema up to date, or say how far it is", a.migrateUpCommand(), a.migrateStatusCommand())
}

// raising is what migrate up was asked for.
type raising struct {
	aim
	out        output
	initial    bool
	wait       time.Duration // for other sessions, and a server that stops answering
	waitServer time.Duration
}

func (a *application) migrateUpCommand() *cobra.Command {
	var r raising
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Create a target's schema where it is missing, and migrate it",
		Long: `Create a target's schema where it is missing, and migrate it: the worker's own
tables first, then the application's migrations. Any number of these may run at
a time. A schema that is further than this version needs is left as it is. One
that was renamed, or restored under another name, has its functions act on it again.

A migration that fails half-way leaves the schema dirty. A preview's schema that
a worker or this command created is then made anew by the next run; any other
is never dropped, and the command says what to do.

What it waits for, another migration, a lock, an old snapshot or a server that no
longer answers, it names, and waits for it as long as --wait says. A migration
that takes long because it works is not cut short.

With --initial, a schema that a worker has ever worked in is left as it is,
however far it is, and the command succeeds. That is for what is run with each
deployment to bring the first one up, where a later version's migrations are
to wait until it has been tried out.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.migrateUp(cmd, r) },
	}
	r.flags(cmd, "production")
	r.out.flag(cmd, "text")
	flags := cmd.Flags()
	flags.BoolVar(&r.initial, "initial", false, "leave a schema that a worker has worked in as it is")
	flags.DurationVar(&r.wait, "wait", defaultLockWait, "how long to wait in all, for sessions that hold what it needs and for a server that stops answering; 0 for as long as it takes")
	flags.DurationVar(&r.waitServer, "wait-server", 0, "how long to wait for a server that does not answer yet; 0 for not at all")
	return cmd
}

func (a *application) migrateUp(cmd *cobra.Command, r raising) error {
	if r.waitServer < 0 {
		return usagef("--wait-server %s: use a duration such as 60s, or 0 for not at all", r.waitServer)
	}
	m, err := a.migrator(cmd, r.aim)
	if err != nil {
		return err
	}
	supervisor.RefuseStandby(m.config)
	m.preparer.lockWait, m.preparer.initial = r.wait, r.initial
	m.server.atMost = r.waitServer
	report, err := m.up(cmd.Context())
	if err != nil {
		return explain(cmd.Context(), m.target, err)
	}
	if err := r.out.migrated(cmd, report); err != nil {
		return err
	}
	return m.checkIDs(cmd.Context(), report.status)
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
			report := newMigrationReport(m.target, status)
			if err := m.checkIDs(cmd.Context(), status); err != nil {
				report.Problem = err.Error()
			}
			return out.migrationStatus(cmd, report)
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
	key      string // of the configuration that config is from
	server   serverWait
}

func (a *application) migrator(cmd *cobra.Command, f aim) (*migrator, error) {
	target, config, err := a.find(cmd, f, reload.ReadTargetToMigrate)
	if err != nil {
		return nil, err
	}
	log := a.newLogger(cmd.ErrOrStderr(), config.Log)
	m := &migrator{target: target, preparer: &preparer{app: a.Migrations, log: log, lockWait: defaultLockWait}, server: serverWait{log: log}}
	if m.files, err = m.preparer.files(target); err != nil {
		return nil, &usageError{err}
	}
	if m.config, m.key, err = migrationConfig(target); err != nil {
		return nil, &usageError{err}
	}
	target.Pooler = reload.PoolerNone // migrations go past it
	prepareConn(m.config, target)
	return m, nil
}

// connected connects, waiting for the server if it is to, for as long as do takes.
func (m *migrator) connected(ctx context.Context, do func(conn *pgx.Conn) error) error {
	var conn *pgx.Conn
	err := m.server.until(ctx, func(ctx context.Context) (err error) {
		if conn, err = pgx.ConnectConfig(ctx, m.config); err != nil {
			err = unreachable(ctx, m.target, m.key, err)
		}
		return err
	})
	if err != nil {
		return err
	}
	defer closeConn(ctx, conn)
	return store.WithPatience(ctx, conn, m.target.Schema, m.preparer.lockWait, m.preparer.log, func() error { return do(conn) })
}

// inspect asks the schema how far it is, in a database that can hold jobs.
func (m *migrator) inspect(ctx context.Context) (status store.MigrationStatus, err error) {
	err = m.connected(ctx, func(conn *pgx.Conn) error {
		if err := store.CheckEncoding(ctx, conn); err != nil {
			return err
		}
		status, err = store.Inspect(ctx, conn, m.target.Schema, m.files)
		return err
	})
	return status, err
}

// worked asks the schema whether a worker has ever worked in it.
func (m *migrator) worked(ctx context.Context) (worked bool, err error) {
	err = m.connected(ctx, func(conn *pgx.Conn) error {
		worked, err = store.Worked(ctx, conn, m.target.Schema)
		return err
	})
	return worked, err
}

// checkIDs looks whether a schema that can be served would give ids twice.
func (m *migrator) checkIDs(ctx context.Context, status store.MigrationStatus) error {
	if !status.Serves() {
		return nil
	}
	return m.connected(ctx, func(conn *pgx.Conn) error { return store.CheckSequence(ctx, conn, m.target.Schema) })
}

// up migrates the schema and says from where to where.
func (m *migrator) up(ctx context.Context) (report migrationReport, err error) {
	before, err := m.inspect(ctx)
	if err != nil {
		return report, err
	}
	left := false
	if m.preparer.initial && (!before.Serves() || before.DirtyAhead()) {
		if left, err = m.worked(ctx); err != nil {
			return report, err
		}
	}
	if before.DirtyAhead() && !left {
		return report, fmt.Errorf("schema %q is %s: a later version's migration failed half-way or is under way; let that version's migrate up finish or repair it",
			m.target.Schema, before)
	}
	if err := m.preparer.migrate(ctx, m.target); err != nil { // also where nothing is behind: rights are set right each time
		return report, m.failure(ctx, err)
	}
	after, err := m.inspect(ctx)
	if err != nil {
		return report, err
	}
	report = newMigrationReport(m.target, after).since(before)
	report.Left = left || m.preparer.initial && !after.Serves() // a worker has begun meanwhile
	return report, nil
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
