package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// ErrShared is what CheckSession returns for a connection whose next
// transaction may have another session.
var ErrShared = errors.New("a pooler before the server lends its sessions for one transaction at a time")

// CheckSession returns ErrShared if the connection has no session to itself:
// what is locked, set or prepared on it is then met by others, and missed by
// its owner. The server tells who connects the number of the session's
// process; a pooler tells a number of its own. Where it does, a transaction on
// another connection shows whether that can have the session too.
func CheckSession(ctx context.Context, conn *pgx.Conn) error {
	before, err := backend(ctx, conn)
	if err != nil || before == conn.PgConn().PID() {
		return err
	}
	other, err := pgx.ConnectConfig(ctx, conn.Config())
	if err != nil {
		return fmt.Errorf("look for a pooler: connect again: %w", err)
	}
	defer func() { _ = other.Close(context.WithoutCancel(ctx)) }() // nothing was written
	var theirs, after uint32
	err = pgx.BeginFunc(ctx, other, func(tx pgx.Tx) (err error) {
		if theirs, err = backend(ctx, tx); err != nil {
			return err
		}
		after, err = backend(ctx, conn)
		return err
	})
	if err == nil && (theirs == before || after != before) {
		err = ErrShared
	}
	return err
}

// backend is the number of the process that answers, asked for without a
// prepared statement, which such a pooler mixes up.
func backend(ctx context.Context, db DB) (pid uint32, err error) {
	err = db.QueryRow(ctx, "SELECT pg_backend_pid()", pgx.QueryExecModeSimpleProtocol).Scan(&pid)
	return pid, err
}
