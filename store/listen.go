package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-worker/understudy/internal/session"
)

// Listen calls wake when jobs may be due, and cancel when a cancellation may
// have been asked for: once at the start, since what came before was not heard,
// and whenever the server says so. It returns when ctx ends or the connection
// is lost. Through a pooler there is nothing to hear: it waits for ctx.
func (q *Queue) Listen(ctx context.Context, wake, cancel func()) error {
	if q.options.Pooled {
		<-ctx.Done()
		return nil
	}
	err := q.listen(ctx, wake, cancel)
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("listen in schema %q: %w", q.store.schema, err)
}

// listen is Listen on one connection. It returns an error when ctx ends, too.
func (q *Queue) listen(ctx context.Context, wake, cancel func()) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	conn := q.listener.Swap(nil)
	if conn == nil {
		var err error
		if conn, err = q.dial(ctx); err != nil {
			return err
		}
	}
	defer hangUp(conn)
	wakes, cancels := wakeChannel(q.store.schema), cancelChannel(q.store.schema)
	wake()
	cancel()
	for {
		notification, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		switch notification.Channel {
		case wakes:
			wake()
		case cancels:
			cancel()
		}
	}
}

// openListener makes the connection that the first Listen takes.
func (q *Queue) openListener(ctx context.Context) error {
	if q.options.Pooled {
		return nil
	}
	conn, err := q.dial(ctx)
	if err != nil {
		return fmt.Errorf("have a session that listens: %w", err)
	}
	if before := q.listener.Swap(conn); before != nil {
		hangUp(before)
	}
	return nil
}

func hangUp(conn *pgx.Conn) {
	closing, done := context.WithTimeout(context.Background(), time.Second)
	defer done()
	_ = conn.Close(closing)
}

// dial opens a connection that listens. It asks the pool's BeforeConnect for
// the login of the moment, as the pool's own connections do.
func (q *Queue) dial(ctx context.Context) (*pgx.Conn, error) {
	config := q.connect.Copy()
	if before := q.store.pool.Config().BeforeConnect; before != nil {
		if err := before(ctx, config); err != nil {
			return nil, err
		}
	}
	config.RuntimeParams["application_name"] = purposeName(config.RuntimeParams["application_name"], "listen")
	session.Set(config, session.Ours)
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	for _, channel := range []string{wakeChannel(q.store.schema), cancelChannel(q.store.schema)} {
		if _, err := conn.Exec(ctx, "LISTEN "+pgx.Identifier{channel}.Sanitize()); err != nil {
			hangUp(conn)
			return nil, err
		}
	}
	return conn, nil
}
