package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-worker/understudy/internal/session"
)

// planSettings have statements use the indexes that they are written for,
// whatever the planner believes of a table that was empty a moment ago.
var planSettings = session.Ours.With(session.Settings{
	"enable_seqscan":       "off",
	"enable_hashjoin":      "off",
	"enable_mergejoin":     "off",
	"enable_indexscan":     "on",
	"enable_indexonlyscan": "on",
	"enable_nestloop":      "on",
	"plan_cache_mode":      "auto",
	"jit":                  "off",
})

// searchSettings are for claims. A claim's own durability is not waited for:
// losing one makes the job available again.
var searchSettings = planSettings.With(session.Settings{
	"synchronous_commit": "off",
	"enable_bitmapscan":  "off",
})

// recordSettings make outcomes durable. Rows are locked for a moment only;
// what takes longer is sorted out without waiting.
var recordSettings = planSettings.With(session.Settings{
	"synchronous_commit": "on",
	"lock_timeout":       "200ms",
})

// leaseSettings are for what keeps an epoch alive and takes over dead ones.
var leaseSettings = planSettings.With(session.Settings{
	"synchronous_commit": "on",
	"lock_timeout":       "2s",
})

// lane is a small pool of connections for one purpose, which nothing else can
// take. Through a pooler, whose sessions cannot be set up, each piece of work
// is a transaction that sets itself up.
//
// Its first session is opened by connect, and stays: it is closed for neither
// idleness nor want of work, and replaced when it is lost or too old.
type lane struct {
	purpose  string
	pool     *pgxpool.Pool
	settings string // that each transaction makes, as session.SQL takes them; empty where the session has them
}

// newLane makes a lane out of the pool's configuration. It does not connect.
func newLane(base *pgxpool.Pool, schema, purpose string, conns int32, set session.Settings, pooled bool) (*lane, error) {
	set = set.With(session.Settings{"search_path": ourSearchPath(schema)})
	config := base.Config()
	config.MaxConns = conns
	config.MinConns = 1
	config.MinIdleConns = 0
	config.MaxConnIdleTime = time.Minute
	config.BeforeConnect = unlessStarting(config.BeforeConnect)
	l := &lane{purpose: purpose}
	if pooled {
		l.settings = set.JSON()
	} else {
		params := config.ConnConfig.RuntimeParams
		params["application_name"] = purposeName(params["application_name"], purpose)
		session.Set(config.ConnConfig, set)
	}
	pool, err := pgxpool.NewWithConfig(context.WithValue(context.Background(), startingKey{}, true), config)
	if err != nil {
		return nil, fmt.Errorf("pool for %s: %w", purpose, err)
	}
	l.pool = pool
	return l, nil
}

// startingKey marks the context of the connection that a new pool makes of its
// own accord, beside the one that is asked for and could be the last.
type startingKey struct{}

var errStarting = errors.New("nobody has asked for it yet")

func unlessStarting(before func(context.Context, *pgx.ConnConfig) error) func(context.Context, *pgx.ConnConfig) error {
	return func(ctx context.Context, config *pgx.ConnConfig) error {
		if ctx.Value(startingKey{}) != nil {
			return errStarting
		}
		if before == nil {
			return nil
		}
		return before(ctx, config)
	}
}

// connect sees that there is a session, and that work can be done on it.
func (l *lane) connect(ctx context.Context) error {
	if _, err := l.exec(ctx, "SELECT 1"); err != nil {
		return fmt.Errorf("have a session for %s: %w", l.purpose, err)
	}
	return nil
}

func purposeName(application, purpose string) string {
	if application == "" {
		application = "understudy"
	}
	return application + " " + purpose
}

// Bounds of the pause between two looks for a session that is lent.
const (
	firstPause = 2 * time.Millisecond
	lastPause  = 100 * time.Millisecond
)

// anotherPatience is how long a lane that has a session waits for another before it
// looks whether the first is free. A server that has no more refuses at once, a
// pooler lets one wait for what may never come.
const anotherPatience = 200 * time.Millisecond

// acquire takes a session of the lane. Where it can have no other beside those
// that are there, since the server, the login or a pooler has no more to give, it
// waits for one of them. What has begun to connect goes on and joins the lane.
func (l *lane) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		conn, err := l.acquireSoon(ctx)
		if err == nil || ctx.Err() != nil {
			return conn, err
		}
		if !l.has() {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(pause):
		}
	}
}

// acquireSoon is one try, which a lane that has a session does not wait for long.
func (l *lane) acquireSoon(ctx context.Context) (*pgxpool.Conn, error) {
	if !l.has() {
		return l.pool.Acquire(ctx)
	}
	limited, cancel := context.WithTimeout(ctx, anotherPatience)
	defer cancel()
	return l.pool.Acquire(limited)
}

// has says whether the lane has a session, lent or not.
func (l *lane) has() bool {
	stat := l.pool.Stat()
	return stat.AcquiredConns()+stat.IdleConns() > 0
}

// tx runs do in a transaction.
func (l *lane) tx(ctx context.Context, do func(tx pgx.Tx) error) error {
	conn, err := l.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	return pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		if err := l.setUp(ctx, tx); err != nil {
			return err
		}
		return do(tx)
	})
}

func (l *lane) setUp(ctx context.Context, tx pgx.Tx) error {
	if l.settings == "" {
		return nil
	}
	var set, readOnly string
	rows, err := tx.Query(ctx, session.SQL, l.settings, true)
	if err != nil {
		return err
	}
	_, err = pgx.ForEachRow(rows, []any{&set, &readOnly}, func() error { return nil })
	if err == nil && readOnly == "on" {
		err = session.CheckReadOnly(ctx, tx.Conn().PgConn())
	}
	return err
}

// ourSearchPath is the search_path of what is ours: nothing of a login's own
// comes before pg_catalog.
func ourSearchPath(schema string) string { return pgx.Identifier{schema}.Sanitize() + ", pg_temp" }

// run sends the batch as one transaction, in one round trip where it can.
func (l *lane) run(ctx context.Context, batch *pgx.Batch) error {
	if l.settings == "" {
		conn, err := l.acquire(ctx)
		if err != nil {
			return err
		}
		defer conn.Release()
		return conn.SendBatch(ctx, batch).Close()
	}
	return l.tx(ctx, func(tx pgx.Tx) error { return tx.SendBatch(ctx, batch).Close() })
}

// breakOffGrace is how long the server may take to answer once it was asked to
// break a batch off.
const breakOffGrace = 2 * time.Second

// runOrBreakOff is run, but when ctx ends it asks the server to break the batch
// off and waits for its answer, so that nothing is in doubt: the batch took effect
// and returns nil, or it took none.
func (l *lane) runOrBreakOff(ctx context.Context, batch *pgx.Batch) error {
	if l.settings != "" {
		return l.run(ctx, batch)
	}
	conn, err := l.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	answered, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	asked := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(asked)
		time.AfterFunc(breakOffGrace, giveUp)
		_ = conn.Conn().PgConn().CancelRequest(answered) // whatever comes of it, the answer says
	})
	err = conn.SendBatch(answered, batch).Close()
	if !stop() { // the request may reach the session yet: nothing else is to run there
		giveUp()
		<-asked
		_ = conn.Conn().Close(answered)
	}
	return err
}

// row runs one statement as a transaction of its own and scans its only row.
func (l *lane) row(ctx context.Context, dest []any, sql string, args ...any) error {
	batch := &pgx.Batch{}
	batch.Queue(sql, args...).QueryRow(func(row pgx.Row) error { return row.Scan(dest...) })
	return l.run(ctx, batch)
}

// exec runs one statement as a transaction of its own and returns how many
// rows it touched.
func (l *lane) exec(ctx context.Context, sql string, args ...any) (touched int64, err error) {
	batch := &pgx.Batch{}
	batch.Queue(sql, args...).Exec(func(tag pgconn.CommandTag) error {
		touched = tag.RowsAffected()
		return nil
	})
	return touched, l.run(ctx, batch)
}
