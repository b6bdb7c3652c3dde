package supervisor

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/understudy-worker/understudy/reload"
)

// ExplainPooler adds what to do to an error that a pooler between here and the
// server causes, of which the target's configuration says nothing.
func ExplainPooler(target reload.Target, err error) error {
	if target.Pooler == reload.PoolerTransaction || !isOfPooler(err) {
		return err
	}
	return fmt.Errorf("%w: this is how a pooler such as PgBouncer answers: set targets.%s.pooler to transaction", err, target.Name)
}

// isOfPooler knows what poolers do not let through, and the prepared
// statements of others that are met on a session which is lent around.
func isOfPooler(err error) bool {
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) {
		return false
	}
	switch pgErr.Code {
	case "42P05", "26000": // duplicate_prepared_statement, invalid_sql_statement_name
		return true
	case "08P01": // protocol_violation
		return strings.Contains(pgErr.Message, "startup parameter")
	}
	return false
}
