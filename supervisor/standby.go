package supervisor

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// ErrStandby is why a connection to a standby is refused. A name that leads to
// one leads elsewhere in a moment, or the standby becomes the primary: a session
// that was made before would be alive and of no use.
var ErrStandby = errors.New("the server is a standby, which only reads")

// RefuseStandby has new connections refuse a server that is in recovery, with an
// ErrStandby. Where there are several hosts the next one is tried. What the DSN
// asks for by target_session_attrs has to hold too.
func RefuseStandby(config *pgx.ConnConfig) { refuseStandby(config, func() {}) }

// refuseStandby is RefuseStandby with somebody who is told of each refusal.
func refuseStandby(config *pgx.ConnConfig, refused func()) {
	wanted := config.ValidateConnect
	config.ValidateConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		if reportsStandby(conn) {
			standby, err := isStandby(ctx, conn)
			if err != nil {
				return err
			}
			if standby {
				refused()
				return ErrStandby
			}
			conn.CustomData()[trustedKey] = true
		}
		if wanted == nil {
			return nil
		}
		return wanted(ctx, conn)
	}
}

// Keys of a connection's custom data.
const (
	suspectKey = "understudy.suspect" // an error hints that the session is of a standby
	trustedKey = "understudy.trusted" // it reports a standby, which it was asked and is not
)

// reportsStandby says whether the server says by itself that it is in recovery:
// it does since Postgres 14, when a session begins and when it is promoted.
func reportsStandby(conn *pgconn.PgConn) bool { return conn.ParameterStatus("in_hot_standby") == "on" }

// isStandby asks. A pooler repeats to everybody what some session of its own
// reported once, and goes on lending the sessions that it has: there, one of a
// standby is ended, so that the next one is made anew.
func isStandby(ctx context.Context, conn *pgconn.PgConn) (bool, error) {
	results, err := conn.Exec(ctx, "SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.pg_backend_pid()").ReadAll()
	if err != nil {
		return false, err
	}
	row := results[0].Rows[0]
	standby := string(row[0]) == "t"
	if direct := string(row[1]) == strconv.FormatUint(uint64(conn.PID()), 10); standby && !direct {
		const end = "SELECT pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid()) WHERE pg_catalog.pg_is_in_recovery()"
		_, _ = conn.Exec(ctx, end).ReadAll() // it is closed whatever comes of it
	}
	return standby, nil
}

// standbys is what a pool, and those that are derived from it, have met of
// standbys. It is safe for concurrent use.
type standbys struct {
	mu        sync.Mutex
	refused   time.Time // when a connection to one was last refused
	connected time.Time // when one was last made
	suspected time.Time // when an error last hinted that a session is of one
	closed    time.Time // when such a session was last found and closed
}

// RefuseStandbys has a pool refuse standbys as RefuseStandby does, and close
// sessions that turn out to be of one.
func RefuseStandbys(config *pgxpool.Config) { (&standbys{}).watch(config) }

// watch has the pool refuse standbys, and close sessions that turn out to be of
// one: through a pooler those are seen only by what fails on them.
func (s *standbys) watch(config *pgxpool.Config) {
	refuseStandby(config.ConnConfig, func() { s.note(&s.refused) })
	config.AfterConnect = func(context.Context, *pgx.Conn) error {
		s.note(&s.connected)
		return nil
	}
	failed := config.ConnConfig.OnPgError
	config.ConnConfig.OnPgError = func(conn *pgconn.PgConn, err *pgconn.PgError) bool {
		if hintsAtStandby(err.Code) {
			conn.CustomData()[suspectKey] = true
			s.note(&s.suspected)
		}
		return failed(conn, err)
	}
	config.PrepareConn = s.usable
}

// hintsAtStandby knows what statements come to in recovery. Each of it has other
// causes too.
func hintsAtStandby(code string) bool {
	switch code {
	case "25006", // read_only_sql_transaction: whatever writes, locks or listens
		"0A000", // feature_not_supported: SERIALIZABLE
		"55000", // object_not_in_prerequisite_state: what needs the WAL
		"40001": // serialization_failure: a conflict with recovery
		return true
	}
	return false
}

// usable is asked before a connection is lent. It costs nothing where nothing
// hints at a standby.
func (s *standbys) usable(ctx context.Context, conn *pgx.Conn) (bool, error) {
	data := conn.PgConn().CustomData()
	if data[suspectKey] == nil && (!reportsStandby(conn.PgConn()) || data[trustedKey] != nil) {
		return true, nil
	}
	standby, err := isStandby(ctx, conn.PgConn())
	switch {
	case err != nil:
		return false, nil // dead: the next one is tried
	case standby:
		s.note(&s.closed)
		return false, nil
	}
	delete(data, suspectKey)
	data[trustedKey] = true
	return true, nil
}

func (s *standbys) note(what *time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*what = time.Now()
}

// met says whether the pool's sessions were of a standby since then, or there
// were none for that reason.
func (s *standbys) met(ctx context.Context, pool *pgxpool.Pool, since time.Time) bool {
	s.mu.Lock()
	suspected := s.suspected.After(since)
	s.mu.Unlock()
	if suspected { // those that it knows to be sound by now are lent and given back
		for _, conn := range pool.AcquireAllIdle(ctx) {
			conn.Release()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed.After(since) || s.refused.After(since) && s.refused.After(s.connected)
}
