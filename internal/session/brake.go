package session

import (
	"context"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// brake is the parameter that makes transactions read-only unless they say
// otherwise. Somebody has set it so that nothing is written: nothing of ours
// says otherwise.
const brake = "default_transaction_read_only"

// ReadOnlyError says that default_transaction_read_only is on, and where.
type ReadOnlyError struct {
	Where string // who or what it is set for, in words
	Undo  string // what takes it away
}

func (e *ReadOnlyError) Error() string {
	return fmt.Sprintf("%s is on, set %s: nothing is claimed or written while it is; take it away with: %s", brake, e.Where, e.Undo)
}

// RefuseReadOnly has new sessions whose transactions are read-only by default
// refused with a *ReadOnlyError. Not for what a transaction pooler lends: it may
// tell what once was.
func RefuseReadOnly(config *pgx.ConnConfig) {
	if wanted := config.ValidateConnect; wanted != nil { // target_session_attrs=read-write refuses them without saying why
		config.ValidateConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
			err := wanted(ctx, conn)
			if err != nil && conn.ParameterStatus("in_hot_standby") != "on" {
				if why := refuseReadOnly(ctx, conn); why != nil {
					return why
				}
			}
			return err
		}
	}
	then(config, refuseReadOnly)
}

func refuseReadOnly(ctx context.Context, conn *pgconn.PgConn) error {
	if conn.ParameterStatus(brake) != "on" {
		return nil
	}
	return CheckReadOnly(ctx, conn)
}

// CheckReadOnly returns a *ReadOnlyError if the session's transactions are
// read-only by default, whatever kind of server it is on.
func CheckReadOnly(ctx context.Context, conn *pgconn.PgConn) error {
	result := conn.ExecParams(ctx, `SELECT source, session_user::pg_catalog.text, pg_catalog.current_database()::pg_catalog.text,
	pg_catalog.quote_ident(session_user), pg_catalog.quote_ident(pg_catalog.current_database())
FROM pg_catalog.pg_settings WHERE name = $1 AND setting = 'on'`, [][]byte{[]byte(brake)}, nil, nil, nil).Read()
	if result.Err != nil {
		return fmt.Errorf("look whether %s is on: %w", brake, result.Err)
	}
	if len(result.Rows) == 0 {
		return nil
	}
	r := result.Rows[0]
	return readOnly(string(r[0]), string(r[1]), string(r[2]), string(r[3]), string(r[4]))
}

// readOnly is the error for a source as pg_settings names it.
func readOnly(source, login, database, quotedLogin, quotedDatabase string) *ReadOnlyError {
	const off = "SET " + brake + " = off; " // of the session that takes it away, which has it too
	e := &ReadOnlyError{}
	switch source {
	case "user":
		e.Where = "for the login " + strconv.Quote(login)
		e.Undo = "ALTER ROLE " + quotedLogin + " RESET " + brake
	case "database user":
		e.Where = fmt.Sprintf("for the login %q in the database %q", login, database)
		e.Undo = fmt.Sprintf("ALTER ROLE %s IN DATABASE %s RESET %s", quotedLogin, quotedDatabase, brake)
	case "database":
		e.Where = "for the database " + strconv.Quote(database)
		e.Undo = off + "ALTER DATABASE " + quotedDatabase + " RESET " + brake
	case "global":
		e.Where = "for all logins of the server"
		e.Undo = off + "ALTER ROLE ALL RESET " + brake
	case "configuration file":
		e.Where = "for the whole server, in its configuration"
		e.Undo = "ALTER SYSTEM RESET " + brake + ", or the line in postgresql.conf, and then SELECT pg_reload_conf()"
	case "command line":
		e.Where = "for the whole server, where it is started"
		e.Undo = "a start without the option"
	case "client":
		e.Where = "by the DSN"
		e.Undo = "a DSN without it"
	default:
		e.Where = "for the session (" + source + "), by a pooler perhaps"
		e.Undo = "what has sessions set it"
	}
	return e
}
