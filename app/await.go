package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/understudy-worker/understudy/supervisor"
)

const (
	// serverPoll is how often a server that does not answer is asked again.
	serverPoll = 500 * time.Millisecond
	// serverTry is the least time that one attempt to connect gets, whatever
	// is left of the wait.
	serverTry = time.Second
)

// serverWait is how long a command waits for a server that does not answer yet.
type serverWait struct {
	atMost time.Duration // 0 for not at all
	log    *slog.Logger
}

// until calls connect until it succeeds, or fails in a way that does not pass,
// or the time is up.
func (w serverWait) until(ctx context.Context, connect func(ctx context.Context) error) error {
	if w.atMost <= 0 {
		return connect(ctx)
	}
	for began, quiet := time.Now(), true; ; {
		err := w.try(ctx, w.atMost-time.Since(began), connect)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !unavailable(err):
			return err
		case time.Since(began) >= w.atMost:
			return fmt.Errorf("waited %s for the server: %w", w.atMost, err)
		case quiet:
			quiet = false
			w.log.Info("waiting for the server", "at_most", w.atMost.String(), "err", err)
		}
		pause(ctx, min(serverPoll, w.atMost-time.Since(began)))
	}
}

// try bounds one attempt by what is left of the wait.
func (w serverWait) try(ctx context.Context, left time.Duration, connect func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, max(left, serverTry))
	defer cancel()
	return connect(ctx)
}

// unavailable says whether an error is of a server that may answer if it is
// asked again: it is not found, not reached, a standby, starting, stopping or full. Where
// it answers anything else, of a password or a missing database above all, it
// will say the same the next time.
func unavailable(err error) bool {
	if errors.Is(err, supervisor.ErrStandby) {
		return true
	}
	var answer *pgconn.PgError
	if errors.As(err, &answer) {
		return slices.Contains([]string{
			pgerrcode.AdminShutdown, pgerrcode.CrashShutdown, pgerrcode.CannotConnectNow, pgerrcode.TooManyConnections,
		}, answer.Code)
	}
	var unknown *net.DNSError
	var network *net.OpError
	switch {
	case errors.As(err, &unknown):
		return true
	case errors.As(err, &network): // crypto/tls reports alerts, as of a wrong certificate, as operations too
		return network.Op != "remote error" && network.Op != "local error"
	}
	return slices.ContainsFunc([]error{
		io.EOF, io.ErrUnexpectedEOF, context.DeadlineExceeded, os.ErrDeadlineExceeded, pgconn.ErrConnClosed,
	}, func(sign error) bool { return errors.Is(err, sign) })
}
