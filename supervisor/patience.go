package supervisor

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Bounds of one attempt to connect where the DSN has none.
const (
	connectTimeout    = 5 * time.Second
	maxConnectTimeout = 20 * time.Second
)

// patience is how long a target's server may take to let a client in. A server
// that is so busy that all attempts time out is only kept busy by clients that give
// up and begin again: an attempt may therefore take as long as none has succeeded
// by now, within bounds. It is safe for concurrent use.
type patience struct {
	mu      sync.Mutex
	waiting time.Time // since when attempts have not succeeded; zero when the last one has
}

// attempt bounds the attempt that is about to be made with the configuration. The
// network's part of it stays as short as ever: a host that does not answer at all
// may have another beside it.
func (p *patience) attempt(c *pgx.ConnConfig) {
	c.ConnectTimeout = p.timeout(time.Now())
	dial := c.DialFunc
	c.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, connectTimeout)
		defer cancel()
		return dial(ctx, network, addr)
	}
	then := c.AfterConnect
	c.AfterConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		p.succeeded()
		if then == nil {
			return nil
		}
		return then(ctx, conn)
	}
}

func (p *patience) timeout(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting.IsZero() {
		p.waiting = now
	}
	return min(max(now.Sub(p.waiting), connectTimeout), maxConnectTimeout)
}

func (p *patience) succeeded() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = time.Time{}
}
