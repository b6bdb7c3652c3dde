package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// CheckSequence returns an error that says what to run where the next job would
// get an id that another job has. Logical replication copies rows and leaves
// sequences as they are, so a server that was switched over to may count from
// its start. Then enqueue fails on the ids of unfinished jobs, and those of
// finished ones are given again, to handlers that know what they have done by
// the id. A login that may not look at the sequence learns nothing.
func CheckSequence(ctx context.Context, db DB, schema string) error {
	sql, err := statementsFor(schema)
	if err != nil {
		return err
	}
	var given *int64
	var largest int64
	if err := db.QueryRow(ctx, sql.get("ids_given"), pgx.Identifier{schema}.Sanitize()).Scan(&given, &largest); err != nil {
		return fmt.Errorf("look for the ids that were given in schema %q: %w", schema, err)
	}
	if given == nil || *given >= largest {
		return nil
	}
	table := pgx.Identifier{schema, "open_jobs"}.Sanitize()
	jobs := pgx.Identifier{schema, "jobs"}.Sanitize()
	return fmt.Errorf("schema %q has a job %d, but the sequence of ids is at %d, as after a logical replication, which copies no sequences: "+
		"ids would be given twice; with the login of its owner, run: SELECT setval(pg_get_serial_sequence(%s, 'id'), (SELECT max(id) FROM %s))",
		schema, largest, *given, quoteLiteral(table), jobs)
}
