// Package session has sessions with Postgres set for themselves what they rely
// on. What somebody has set for the login, the database or the server, often for
// another application and long ago, does not decide what a statement of ours does.
package session

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Settings are run-time parameters by name.
type Settings map[string]string

// With are the settings and others, which count where both say something.
func (s Settings) With(others Settings) Settings {
	all := maps.Clone(s)
	maps.Copy(all, others)
	return all
}

// Ours are what the project's own statements rely on, wherever they run. Handlers
// see nothing of it: their statements are the application's.
var Ours = Settings{
	// How values are written as text and read from it.
	"DateStyle":          "ISO, MDY",
	"IntervalStyle":      "postgres",
	"TimeZone":           "UTC",
	"extra_float_digits": "1",
	"array_nulls":        "on",
	// What a statement means.
	"default_transaction_isolation":  "read committed",
	"default_transaction_deferrable": "off",
	"transform_null_equals":          "off",
	// How long it may take is bounded by who waits for it. A session that is idle
	// is waited with: it keeps a lock, or listens.
	"statement_timeout":    "0",
	"lock_timeout":         "0",
	"transaction_timeout":  "0", // since Postgres 17
	"idle_session_timeout": "0",
	"exit_on_error":        "off",
}

// RelyOnDriver has new sessions begin with what the driver itself relies on, for
// whose statements ever. Poolers know these two and keep them for each client:
// PgBouncer does by default.
func RelyOnDriver(config *pgx.ConnConfig) {
	config.RuntimeParams["client_encoding"] = "UTF8"
	config.RuntimeParams["standard_conforming_strings"] = "on"
}

// RelyOnDriverThroughPooler is RelyOnDriver where a pooler lends sessions for a
// transaction at a time: values are text then, times and dates too.
func RelyOnDriverThroughPooler(config *pgx.ConnConfig) {
	RelyOnDriver(config)
	config.RuntimeParams["DateStyle"] = Ours["DateStyle"]
}

// Set has each new session make the settings, but for those that its server does
// not know. The sessions have to be the client's own: where a pooler lends one
// to others next, they would have the settings too.
func Set(config *pgx.ConnConfig, settings Settings) {
	then(config, func(ctx context.Context, conn *pgconn.PgConn) error {
		return set(ctx, conn, settings, "true")
	})
}

// SetUnlessLent is Set where a pooler that nobody named may stand before the
// server: then it sets nothing. A server tells a client the number of its process,
// a pooler tells one of its own.
func SetUnlessLent(config *pgx.ConnConfig, settings Settings) {
	then(config, func(ctx context.Context, conn *pgconn.PgConn) error {
		return set(ctx, conn, settings, fmt.Sprintf("pg_catalog.pg_backend_pid() = %d", conn.PID()))
	})
}

// SQL makes the settings of $1, a JSON object, those that the server knows: for
// the transaction if $2. It tells whether the server's transactions are read-only.
const SQL = `SELECT pg_catalog.set_config(s.key, s.value, $2), pg_catalog.current_setting('default_transaction_read_only')
FROM pg_catalog.json_each_text($1::pg_catalog.json) AS s
WHERE pg_catalog.current_setting(s.key, true) IS NOT NULL`

// JSON is the settings as SQL takes them.
func (s Settings) JSON() string {
	text, err := json.Marshal(s)
	if err != nil { // texts by texts
		panic("session: " + err.Error())
	}
	return string(text)
}

func set(ctx context.Context, conn *pgconn.PgConn, settings Settings, condition string) error {
	arguments := [][]byte{[]byte(settings.JSON()), []byte("false")}
	if _, err := conn.ExecParams(ctx, SQL+" AND "+condition, arguments, nil, nil, nil).Close(); err != nil {
		return fmt.Errorf("set up the session: %w", err)
	}
	return nil
}

// then has new sessions do something more.
func then(config *pgx.ConnConfig, more pgconn.AfterConnectFunc) {
	before := config.AfterConnect
	config.AfterConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		if before != nil {
			if err := before(ctx, conn); err != nil {
				return err
			}
		}
		return more(ctx, conn)
	}
}
