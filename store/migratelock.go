package store

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strconv"
	"time"

	librarydatabase "github.com/golang-migrate/migrate/v4/database"
	"github.com/jackc/pgx/v5"
)

// lockPoll is how often a migration that waits for another looks again.
const lockPoll = 100 * time.Millisecond

// lockNamespace is the first half of the locks' keys: "unds".
const lockNamespace = 0x756e6473

// lockKey is the second half: a number for the schema.
func lockKey(schema string) uint32 {
	key := fnv.New32a()
	_, _ = key.Write([]byte(schema))
	return key.Sum32()
}

// checkSession makes sure that the lock, and the search_path of the files, will
// be there for the next transaction.
func (m *migration) checkSession(ctx context.Context) error {
	err := CheckSession(ctx, m.conn)
	if errors.Is(err, ErrShared) {
		return fmt.Errorf("migrate schema %q: %w: use a DSN that leads past it (migrate_dsn)", m.Schema, err)
	}
	return err
}

// lock takes the lock that processes race for. In one database any login can
// hold it.
func (m *migration) lock(ctx context.Context) error {
	return m.poll(ctx, m.conn, advisory{class: lockNamespace, object: int64(lockKey(m.Schema)), parts: 2}, "try_lock", lockNamespace, int32(lockKey(m.Schema)))
}

// libraryLocks takes, for the session of golang-migrate's driver, the locks that
// the library would wait for without a limit and with a snapshot: that of programs
// with the library in them, and that of its command line.
func (m *migration) libraryLocks(ctx context.Context, session *pgx.Conn, table string) error {
	database := session.Config().Database
	if err := m.patience.watch(ctx, m.conn, func() error {
		return m.conn.QueryRow(ctx, "SELECT current_database()").Scan(&database)
	}); err != nil {
		return err
	}
	for _, name := range []string{database, "/" + database} {
		id, err := librarydatabase.GenerateAdvisoryLockId(name, m.Schema, table)
		if err != nil {
			return err
		}
		key, err := strconv.ParseInt(id, 10, 64)
		if err != nil {
			return fmt.Errorf("golang-migrate's lock %q: %w", id, err)
		}
		if err := m.poll(ctx, session, advisory{class: key >> 32, object: key & 0xffffffff, parts: 1}, "try_library_lock", key); err != nil {
			return err
		}
	}
	return nil
}

// advisory is a lock as pg_locks shows it: of one part, a bigint in two halves, or
// of two.
type advisory struct {
	class, object int64
	parts         int
}

// poll polls for a lock, so that no waiter holds a snapshot that CREATE INDEX
// CONCURRENTLY would wait for. Who waits says for whom, and need not for ever.
func (m *migration) poll(ctx context.Context, session *pgx.Conn, lock advisory, try string, args ...any) error {
	sql, err := statementsFor(m.Schema)
	if err != nil {
		return err
	}
	poll := time.NewTicker(lockPoll)
	defer poll.Stop()
	said := false
	for last := time.Now(); ; {
		var locked bool
		err := m.patience.watch(ctx, session, func() error { return session.QueryRow(ctx, sql.get(try), args...).Scan(&locked) })
		if err != nil {
			return fmt.Errorf("lock schema %q for migration: %w", m.Schema, err)
		}
		if locked {
			return nil
		}
		m.patience.waited += time.Since(last)
		last = time.Now()
		switch {
		case m.patience.left() == 0:
			return &WaitError{Waited: m.LockWait, For: fmt.Sprintf("the lock that %s holds", m.lockHolder(ctx, lock))}
		case !said && m.patience.waited >= lockQuiet:
			said = true
			m.Log.Info("waiting for another session to migrate the schema", "schema", m.Schema, "holder", m.lockHolder(ctx, lock))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for another process to migrate schema %q: %w", m.Schema, context.Cause(ctx))
		case <-poll.C:
		}
	}
}

// lockHolder names the session that holds a lock, for people.
func (m *migration) lockHolder(ctx context.Context, lock advisory) string {
	sql, err := statementsFor(m.Schema)
	if err != nil {
		return err.Error()
	}
	var h holder
	err = m.conn.QueryRow(ctx, sql.get("lock_holder"), lock.class, lock.object, lock.parts).Scan(&h.PID, &h.Login, &h.Application, &h.Since)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return "another session, which has just ended,"
	case err != nil:
		return fmt.Sprintf("another session (which one cannot be found out: %v)", err)
	}
	return h.String()
}
