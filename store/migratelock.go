package store

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// lockPoll is how often a migration that waits for another looks again.
	lockPoll = 100 * time.Millisecond
	// lockQuiet is how long it waits before it says so.
	lockQuiet = time.Second
)

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

// lock polls for the lock that processes race for, so that no waiter holds a
// snapshot that CREATE INDEX CONCURRENTLY would wait for. In one database any
// login can hold it: who waits says for whom, and need not for ever.
func (m *migration) lock(ctx context.Context) error {
	begun, quiet := time.Now(), false
	poll := time.NewTicker(lockPoll)
	defer poll.Stop()
	for {
		locked, err := m.tryLock(ctx)
		if err != nil || locked {
			return err
		}
		waited := time.Since(begun)
		switch {
		case m.LockWait > 0 && waited >= m.LockWait:
			return fmt.Errorf("migrate schema %q: waited %s for the lock that %s holds: run it again when that has ended", m.Schema, m.LockWait, m.lockHolder(ctx))
		case !quiet && waited >= lockQuiet:
			quiet = true
			m.Log.Info("waiting for another session to migrate the schema", "schema", m.Schema, "holder", m.lockHolder(ctx))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for another process to migrate schema %q: %w", m.Schema, context.Cause(ctx))
		case <-poll.C:
		}
	}
}

func (m *migration) tryLock(ctx context.Context) (locked bool, err error) {
	sql, err := statementsFor(m.Schema)
	if err != nil {
		return false, err
	}
	if err := m.conn.QueryRow(ctx, sql.get("try_lock"), lockNamespace, int32(lockKey(m.Schema))).Scan(&locked); err != nil {
		return false, fmt.Errorf("lock schema %q for migration: %w", m.Schema, err)
	}
	return locked, nil
}

// lockHolder names the session that holds the lock, for people.
func (m *migration) lockHolder(ctx context.Context) string {
	sql, err := statementsFor(m.Schema)
	if err != nil {
		return err.Error()
	}
	var pid int
	var login, application string
	err = m.conn.QueryRow(ctx, sql.get("lock_holder"), lockNamespace, int64(lockKey(m.Schema))).Scan(&pid, &login, &application)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return "another session, which has just ended,"
	case err != nil:
		return fmt.Sprintf("another session (which one cannot be found out: %v)", err)
	}
	return fmt.Sprintf("session %d of login %q (application %q)", pid, login, application)
}
