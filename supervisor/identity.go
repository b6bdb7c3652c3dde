package supervisor

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// identity is which server, database and schema a target is, whatever its DSN
// says: a name, an address, a socket or a pooler may lead to one server.
type identity struct {
	// system is the cluster's identifier, which copies of its files share: backups,
	// snapshots of its disk, standbys. "" where the server does not tell.
	system string
	// start is when the server started, in seconds since 1970: no two share it, and
	// a server that restarts has another.
	start            string
	recovering       bool // a standby, with the data of its primary
	database, schema string
}

// identify asks the server which it is.
func identify(ctx context.Context, pool *pgxpool.Pool, schema string) (identity, error) {
	const ask = "extract(epoch FROM pg_postmaster_start_time())::text, pg_is_in_recovery(), current_database()"
	id := identity{schema: schema}
	err := pool.QueryRow(ctx, "SELECT system_identifier::text, "+ask+" FROM pg_control_system()").
		Scan(&id.system, &id.start, &id.recovering, &id.database)
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && pgErr.Code == "42501" { // insufficient_privilege, on a managed server
		err = pool.QueryRow(ctx, "SELECT "+ask).Scan(&id.start, &id.recovering, &id.database)
	}
	return id, err
}

// likeness is how two identities stand to one another.
type likeness int

const (
	different likeness = iota
	same
	// unclear: a copy on another server, or one server that has restarted between
	// the two looks. Looks that are taken one right after the other tell.
	unclear
)

// compare says whether two targets are one place. A standby is the place of its
// primary: it has the same jobs, and may be promoted at any moment.
func (a identity) compare(b identity) likeness {
	known := a.system != "" && b.system != ""
	switch {
	case a.database != b.database || a.schema != b.schema || known && a.system != b.system:
		return different
	case a.start == b.start || known && (a.recovering || b.recovering):
		return same
	}
	return unclear
}
