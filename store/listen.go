package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
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
	conn, err := q.dial(ctx)
	if err != nil {
		return err
	}
	defer func() {
		closing, done := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer done()
		_ = conn.Close(closing)
	}()
	wakes, cancels := wakeChannel(q.store.schema), cancelChannel(q.store.schema)
	for _, channel := range []string{wakes, cancels} {
		if _, err := conn.Exec(ctx, "LISTEN "+pgx.Identifier{channel}.Sanitize()); err != nil {
			return err
		}
	}
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

// dial opens the connection that listens. It asks the pool's BeforeConnect for
// the login of the moment, as the pool's own connections do.
func (q *Queue) dial(ctx context.Context) (*pgx.Conn, error) {
	config := q.connect.Copy()
	if before := q.store.pool.Config().BeforeConnect; before != nil {
		if err := before(ctx, config); err != nil {
			return nil, err
		}
	}
	config.RuntimeParams["application_name"] = purposeName(config.RuntimeParams["application_name"], "listen")
	return pgx.ConnectConfig(ctx, config)
}
