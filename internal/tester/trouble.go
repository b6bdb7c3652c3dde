package tester

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/understudy-worker/understudy/internal/web"
)

// trouble says in words for people what an error means for a side that was asked
// for no longer than the limit.
func (s *Side) trouble(place Place, err error, limit time.Duration) *Trouble {
	var said *Trouble
	var connect *pgconn.ConnectError
	var answer *pgconn.PgError
	switch {
	case errors.As(err, &said):
		return said
	case errors.As(err, &connect):
		return &Trouble{What: fmt.Sprintf("The server cannot be connected to: %s.", reason(err)), Do: s.Advice.Unreachable}
	case errors.As(err, &answer) && notMigrated(answer.Code):
		return &Trouble{What: fmt.Sprintf("Schema %s is not there, or is not migrated.", place.Schema), Do: s.Advice.Unmigrated}
	case errors.As(err, &answer) && answer.Code == pgerrcode.InsufficientPrivilege:
		return &Trouble{What: fmt.Sprintf("The login may not do that: %s.", answer.Message), Do: "Grant it, or use another login."}
	case pgconn.Timeout(err): // by a connection that was made
		return &Trouble{What: fmt.Sprintf("It took longer than %s to answer: the server is busy.", web.Span(limit)), Do: busyAdvice}
	case late(err):
		return &Trouble{What: "The server does not answer.", Do: s.Advice.Unreachable}
	}
	return &Trouble{What: fmt.Sprintf("It cannot be asked: %s.", reason(err)), Do: s.Advice.Unreachable}
}

// busyAdvice is what to do where a server answers, but not in time.
const busyAdvice = "Wait, or see what it does: the view pg_stat_activity tells."

// late says whether an error means that time was over.
func late(err error) bool { return errors.Is(err, context.DeadlineExceeded) }

// notMigrated says whether an SQLSTATE is that of a schema which is not there,
// or lacks what migrations bring.
func notMigrated(code string) bool {
	return slices.Contains([]string{
		pgerrcode.InvalidSchemaName, pgerrcode.UndefinedTable, pgerrcode.UndefinedFunction, pgerrcode.UndefinedColumn,
	}, code)
}

// reason is the part of an error that says what was wrong, on one line.
func reason(err error) string {
	var answer *pgconn.PgError
	var unknown *net.DNSError
	var network *net.OpError
	switch {
	case errors.As(err, &answer):
		return answer.Message
	case errors.As(err, &unknown):
		return unknown.Error()
	case errors.As(err, &network):
		return network.Error()
	case late(err):
		return "no answer"
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}
