package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// watchPoll is how often it is looked whether a session waits.
	watchPoll = 250 * time.Millisecond
	// lockQuiet is how long it waits before that is logged.
	lockQuiet = time.Second
	// cancelGrace is how long a session may take to end a statement that it was
	// asked to give up, before its connection is closed.
	cancelGrace = 3 * time.Second
)

// WaitError says what was waited for in vain.
type WaitError struct {
	For    string        // who holds it, for people
	Waited time.Duration // the limit
}

func (e *WaitError) Error() string {
	return fmt.Sprintf("waited %s for %s: run it again when that has ended", e.Waited, e.For)
}

// patience is how long migrations may wait, all in all: for other migrations, for
// locks, for old snapshots and for a server that does not answer. A statement that
// works costs none of it.
type patience struct {
	schema string
	config *pgx.ConnConfig
	limit  time.Duration // 0 for none
	waited time.Duration
	log    *slog.Logger
	told   string    // what the log knows that is waited for
	looker *pgx.Conn // looks at the sessions that may wait; nil before the first
}

func newPatience(schema string, config *pgx.ConnConfig, limit time.Duration, log *slog.Logger) *patience {
	return &patience{schema: schema, config: config, limit: limit, log: log}
}

// WithPatience does something on a connection, and gives up with a *WaitError when
// that has waited too long: for a lock, or for a server that does not answer. limit
// 0 is any time.
func WithPatience(ctx context.Context, conn *pgx.Conn, schema string, limit time.Duration, log *slog.Logger, do func() error) error {
	p := newPatience(schema, conn.Config(), limit, log)
	defer p.close(ctx)
	return ofSchema(schema, p.watch(ctx, conn, do))
}

// ofSchema says of which schema an error is, where that is all that it lacks.
func ofSchema(schema string, err error) error {
	if inVain, is := err.(*WaitError); is {
		return fmt.Errorf("schema %q: %w", schema, inVain)
	}
	return err
}

func (p *patience) close(ctx context.Context) {
	if p.looker == nil {
		return
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = p.looker.Close(closing) // nothing is lost with it
	p.looker = nil
}

// left is how long it may still wait.
func (p *patience) left() time.Duration {
	if p.limit <= 0 {
		return time.Hour
	}
	return max(p.limit-p.waited, 0)
}

// wait notes that this long was waited for somebody, and says whether it may go on.
func (p *patience) wait(took time.Duration, whom string) error {
	p.waited += took
	if p.left() == 0 {
		return &WaitError{For: whom, Waited: p.limit}
	}
	if p.waited >= lockQuiet && p.told != whom {
		p.told = whom
		p.log.Info("waiting to migrate the schema", "schema", p.schema, "for", whom)
	}
	return nil
}

// watch does something in a session, which it has given up when it has waited too
// long. What was done all the same is no error.
func (p *patience) watch(ctx context.Context, session *pgx.Conn, do func() error) error {
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	gaveUp := make(chan error, 1)
	go func() { gaveUp <- p.look(watching, session.PgConn()) }()
	err := do()
	stop()
	if inVain := <-gaveUp; inVain != nil && err != nil {
		return inVain
	}
	return err
}

// look looks at a session until ctx ends. If it waits too long, its statement is
// given up, and the error says what for.
func (p *patience) look(ctx context.Context, session *pgconn.PgConn) error {
	tick := time.NewTicker(watchPoll)
	defer tick.Stop()
	for last := time.Now(); ; last = time.Now() {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		whom := p.blockers(ctx, session.PID())
		if whom == "" || ctx.Err() != nil {
			continue
		}
		if err := p.wait(time.Since(last), whom); err != nil {
			p.giveUp(ctx, session)
			return err
		}
	}
}

const unanswered = "the server, which does not answer"

// blockers names those that a session waits for; "" for nobody.
func (p *patience) blockers(ctx context.Context, pid uint32) string {
	ctx, cancel := context.WithTimeout(ctx, max(p.left(), watchPoll))
	defer cancel()
	text, err := p.ask(ctx, pid)
	var answer *pgconn.PgError
	switch {
	case err == nil:
		return text
	case errors.As(err, &answer): // as of too many sessions: lock_timeout bounds the wait then
		return ""
	}
	p.close(ctx)
	return unanswered
}

func (p *patience) ask(ctx context.Context, pid uint32) (string, error) {
	sql, err := statementsFor(p.schema)
	if err != nil {
		return "", err
	}
	if p.looker == nil {
		if p.looker, err = pgx.ConnectConfig(ctx, p.config); err != nil {
			return "", err
		}
	}
	rows, err := p.looker.Query(ctx, sql.get("blockers"), int32(pid))
	if err != nil {
		return "", err
	}
	holders, err := pgx.CollectRows(rows, pgx.RowToStructByPos[holder])
	var names []string
	for _, h := range holders {
		names = append(names, h.String())
	}
	return strings.Join(names, ", "), err
}

// holder is a session that holds what another waits for.
type holder struct {
	PID                int32 // 0 for a prepared transaction, -1 for a synchronous standby
	Login, Application string
	Since              *time.Time // when its transaction, or else its session, began; nil if that is not told
}

func (h holder) String() string {
	switch h.PID {
	case 0:
		return "a prepared transaction (see pg_prepared_xacts)"
	case -1:
		return "a synchronous standby, which has not confirmed a commit"
	}
	text := fmt.Sprintf("session %d of login %q (application %q)", h.PID, h.Login, h.Application)
	if h.Since != nil {
		text += ", there since " + h.Since.UTC().Format(time.RFC3339)
	}
	return text
}

// giveUp ends the session's statement: the server is asked to, and if that does
// not help, the connection is closed. It returns when the statement has ended.
func (p *patience) giveUp(ctx context.Context, session *pgconn.PgConn) {
	asking, cancel := context.WithTimeout(ctx, cancelGrace)
	defer cancel()
	_ = session.CancelRequest(asking) // whether it took effect, the statement's end says
	select {
	case <-ctx.Done(): // it has ended
	case <-asking.Done():
		_ = session.Conn().Close()
		<-ctx.Done()
	}
}

// retry is watch for something that takes no effect when it fails, and waits for no
// lock longer than lockTimeout, so that it does not stand in others' way: it is tried
// again while there is patience left.
func (p *patience) retry(ctx context.Context, session *pgx.Conn, do func() error) error {
	for {
		before := p.waited
		err := p.watch(ctx, session, do)
		if !isLockTimeout(err) || p.left() == 0 {
			return err
		}
		p.waited = max(p.waited, before+lockTimeoutLength) // it could not be looked at, say
		if waitErr := p.pause(ctx); waitErr != nil {
			return errors.Join(waitErr, err)
		}
	}
}

func isLockTimeout(err error) bool {
	var answer *pgconn.PgError
	return errors.As(err, &answer) && answer.Code == pgerrcode.LockNotAvailable
}

// pause lets those through that stand behind a lock which was not to be had.
func (p *patience) pause(ctx context.Context) error {
	timer := time.NewTimer(lockPoll)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
