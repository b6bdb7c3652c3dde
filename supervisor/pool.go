package supervisor

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-worker/understudy/internal/dsn"
	"github.com/understudy-worker/understudy/internal/session"
	"github.com/understudy-worker/understudy/reload"
)

// place is a target that is connected and ready to be served.
type place struct {
	target reload.Target
	pool   *pgxpool.Pool
	dsn    *atomic.Pointer[reload.Secret] // by which new connections are made
	met    *standbys                      // by the pool, and by those that are derived from it
	waits  *patience                      // of new connections; nil where the DSN bounds them
	where  identity                       // when it was opened
	// notice is what is wrong with the place, which is served all the same; nil for nothing.
	notice error
}

// open makes the pool of a target and connects to it. The tracer, nil for none, is
// told of its statements. Where a session is to be kept, it outlives its idleness.
// The patience is the target's, over all attempts to open it.
func open(ctx context.Context, target reload.Target, lease time.Duration, tracer pgx.QueryTracer, keep bool, waits *patience) (*place, error) {
	config, err := poolConfig(target, lease)
	if err != nil {
		return nil, err
	}
	p := &place{target: target, dsn: &atomic.Pointer[reload.Secret]{}, met: &standbys{}}
	p.dsn.Store(&target.DSN)
	if config.ConnConfig.ConnectTimeout == 0 {
		p.waits = waits
	}
	config.BeforeConnect = p.refresh
	config.ConnConfig.Tracer = tracer
	p.met.watch(config)
	if keep {
		config.MinConns = max(config.MinConns, 1)
	}
	// The pool would make its least number of connections beside the one below,
	// which could be the last that there is.
	if p.pool, err = pgxpool.NewWithConfig(context.WithValue(ctx, startingKey{}, true), config); err != nil {
		return nil, fmt.Errorf("open target %q: %w", target.Name, err)
	}
	if p.where, err = identify(ctx, p.pool, target.Schema); err != nil {
		p.pool.Close()
		var readOnly *session.ReadOnlyError
		if errors.As(err, &readOnly) {
			return nil, fmt.Errorf("target %q: %w", target.Name, readOnly)
		}
		return nil, &ConnectError{Target: target.Name, Key: target.DSNKey(), Err: err}
	}
	return p, nil
}

// poolConfig is the target's DSN with what every session of ours needs. What the
// application's statements mean is left to the login: handlers use this pool.
func poolConfig(target reload.Target, lease time.Duration) (*pgxpool.Config, error) {
	config, err := dsn.Parse(target.DSNKey(), target.DSN.Reveal())
	if err != nil {
		return nil, err
	}
	conn := config.ConnConfig
	if target.Pooler == reload.PoolerTransaction {
		conn.DefaultQueryExecMode = pgx.QueryExecModeExec
		conn.StatementCacheCapacity, conn.DescriptionCacheCapacity = 0, 0
		session.RelyOnDriverThroughPooler(conn)
		return config, nil
	}
	session.RelyOnDriver(conn)
	session.RefuseReadOnly(conn)
	setDefault(conn.RuntimeParams, "application_name", "understudy")
	setDefault(conn.RuntimeParams, "tcp_keepalives_idle", "10")
	setDefault(conn.RuntimeParams, "tcp_keepalives_interval", "5")
	setDefault(conn.RuntimeParams, "tcp_keepalives_count", "3")
	if lease > 0 {
		ms := strconv.FormatInt(lease.Milliseconds(), 10)
		setDefault(conn.RuntimeParams, "idle_in_transaction_session_timeout", ms)
		setDefault(conn.RuntimeParams, "tcp_user_timeout", ms)
	}
	return config, nil
}

func setDefault(params map[string]string, name, value string) {
	if _, given := params[name]; !given {
		params[name] = value
	}
}

// follow lets new connections use the target's login of now.
func (p *place) follow(target reload.Target) {
	if target.DSN == p.target.DSN {
		return
	}
	if _, err := dsn.Parse(target.DSNKey(), target.DSN.Reveal()); err == nil {
		p.dsn.Store(&target.DSN)
		p.target = target
	}
}

// startingKey marks the context in which a new pool connects of its own accord.
type startingKey struct{}

var errStarting = errors.New("nobody has asked for it yet")

// refresh lets a new connection use the login of now, and take its time.
func (p *place) refresh(ctx context.Context, c *pgx.ConnConfig) error {
	if ctx.Value(startingKey{}) != nil {
		return errStarting
	}
	RenewLogin(c, *p.dsn.Load())
	if p.waits != nil {
		p.waits.attempt(c)
	}
	return nil
}

// RenewLogin lets a connection that is about to be made use the login and the
// certificates of now: those are in files that the DSN names, and are renewed
// before they expire. Where they cannot be read, those of before are as good. A
// DSN of another server or database changes nothing.
func RenewLogin(c *pgx.ConnConfig, login reload.Secret) {
	config, err := dsn.Parse("the DSN", login.Reveal())
	if err != nil {
		return
	}
	now := config.ConnConfig
	if now.Host == c.Host && now.Port == c.Port && now.Database == c.Database {
		c.User, c.Password = now.User, now.Password
		c.TLSConfig, c.Fallbacks = now.TLSConfig, now.Fallbacks
	}
}

// samePlace says whether two targets differ in nothing but the login.
func samePlace(a, b reload.Target) bool {
	if a == b {
		return true
	}
	addressA, errA := address(a.DSN)
	addressB, errB := address(b.DSN)
	a.DSN, b.DSN = "", ""
	a.MigrateDSN, b.MigrateDSN = "", "" // used for migrations only, which are done
	a.MigrateDSNFile, b.MigrateDSNFile = "", ""
	return a == b && errA == nil && errB == nil && addressA == addressB
}

// address is all of a DSN but the login.
func address(of reload.Secret) (string, error) {
	config, err := dsn.Parse("the DSN", of.Reveal())
	if err != nil {
		return "", err
	}
	c := config.ConnConfig
	parts := []string{c.Database, fmt.Sprint(c.RuntimeParams), fmt.Sprint(c.TLSConfig != nil), fmt.Sprint(config.MaxConns), c.Host, fmt.Sprint(c.Port)}
	for _, f := range c.Fallbacks {
		parts = append(parts, f.Host, fmt.Sprint(f.Port), fmt.Sprint(f.TLSConfig != nil))
	}
	return strings.Join(parts, "\x00"), nil
}
