package dsn

import (
	"context"
	"encoding/binary"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/xdg-go/stringprep"
)

// preparePassword lets a login in whose password is not the same once SASLprep
// (RFC 4013) has normalized it, as Postgres does for SCRAM: Ⅸ is IX, and a soft
// hyphen is nothing. pgx normalizes by another standard. Where the server asks
// for the password in another way, it is sent as it is written.
func preparePassword(_ context.Context, config *pgconn.Config, conn net.Conn) (net.Conn, error) {
	prepared, err := stringprep.SASLprep.Prepare(config.Password)
	if err != nil || prepared == config.Password {
		return conn, nil // where SASLprep forbids it, Postgres takes it as it is too
	}
	build := config.BuildFrontend
	config.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		return build(&authReader{Reader: r, onSASL: func() { config.Password = prepared }}, w)
	}
	return conn, nil
}

// authReader reads what a server sends, and notices that it asks for SCRAM
// before its reader sees that.
type authReader struct {
	io.Reader
	onSASL func()
	begun  []byte // of the server's answer, until the question is known
	done   bool
}

// Read reads, and looks at what it read.
func (a *authReader) Read(p []byte) (int, error) {
	n, err := a.Reader.Read(p)
	if !a.done {
		a.begun = append(a.begun, p[:n]...)
		a.look()
	}
	return n, err
}

// look goes through the messages that have begun, up to the one that says how
// the server wants to know who connects.
// Source: https://www.postgresql.org/docs/18/protocol-message-formats.html
func (a *authReader) look() {
	const header, negotiate, notice = 5, 'v', 'N'
	for len(a.begun) >= header {
		length := 1 + int(binary.BigEndian.Uint32(a.begun[1:header]))
		switch kind := a.begun[0]; {
		case kind == 'R' && len(a.begun) < header+4:
			return
		case kind == 'R' && binary.BigEndian.Uint32(a.begun[header:]) == pgproto3.AuthTypeSASL:
			a.onSASL()
			a.done = true
		case kind != negotiate && kind != notice:
			a.done = true
		}
		if a.done || len(a.begun) < length {
			return
		}
		a.begun = a.begun[length:]
	}
}
