package supervisor

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// ConnectError says that a target cannot be connected to, and what to do.
type ConnectError struct {
	Target string
	Key    string // key of the configuration that the DSN is from
	Err    error
}

func (e *ConnectError) Unwrap() error { return e.Err }

// Error is one line.
func (e *ConnectError) Error() string {
	text := fmt.Sprintf("connect to target %q: %s", e.Target, OneLine(e.Err))
	if advice := e.advice(); advice != "" {
		text += ": " + advice
	}
	return text
}

func (e *ConnectError) advice() string {
	var unknown *net.DNSError
	var answer *pgconn.PgError
	switch {
	case errors.Is(e.Err, ErrStandby):
		return fmt.Sprintf("wait until there is a primary where %s leads, or name the primary there", e.Key)
	case errors.As(e.Err, &answer):
		return e.adviceOn(answer.Code)
	case errors.As(e.Err, &unknown) && unknown.IsNotFound:
		return fmt.Sprintf("check that the host in %s is right and that its server is there", e.Key)
	}
	return fmt.Sprintf("check that its server is up and that %s is right", e.Key)
}

// adviceOn is what to do when the server answers with this SQLSTATE.
func (e *ConnectError) adviceOn(code string) string {
	switch code {
	case "28P01", "28000": // invalid_password, invalid_authorization_specification
		return fmt.Sprintf("check that the login and the password in %s are those of the server, and that it lets the login in from here", e.Key)
	case "3D000": // invalid_catalog_name
		return fmt.Sprintf("create the database, or name another in %s", e.Key)
	case "42704": // undefined_object: a run-time parameter that is none
		return fmt.Sprintf("correct its name in %s, or remove it", e.Key)
	case "42501": // insufficient_privilege
		return "grant the login CONNECT on the database"
	case "53300": // too_many_connections
		return "let fewer sessions connect, or raise the server's max_connections"
	case "57P01", "57P02", "57P03": // admin_shutdown, crash_shutdown, cannot_connect_now
		return "wait until the server takes connections"
	}
	return ""
}

// OneLine is an error's text on one line; what it says twice, as of a server
// that is tried with and without TLS, it says once.
func OneLine(err error) string {
	var lines []string
	for line := range strings.Lines(err.Error()) {
		line = strings.TrimSpace(line)
		said := func(before string) bool { return strings.HasSuffix(before, line) }
		if line != "" && !slices.ContainsFunc(lines, said) {
			lines = append(lines, line)
		}
	}
	return strings.ReplaceAll(strings.Join(lines, "; "), ":; ", ": ")
}
