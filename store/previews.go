package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Preview is a schema that was made for a preview: it carries PreviewMark.
type Preview struct {
	Schema string
	// LiveSince is when the last of its live workers began to serve it; zero if
	// none is live.
	LiveSince time.Time
}

// maxPreviews is how many schemas are looked into: nobody drops old ones by himself.
const maxPreviews = 100

// Previews lists the schemas that were made for previews of a target, whose
// names want says yes to, and that the login may look into: those with live
// workers first, the last that was begun to be served before the others, and
// then the newest first.
func Previews(ctx context.Context, db DB, target string, want func(schema string) bool) ([]Preview, error) {
	found, err := markedSchemas(ctx, db, target, want)
	if err == nil {
		err = readLiveSince(ctx, db, found)
	}
	if err != nil {
		return nil, fmt.Errorf("look for previews of target %q: %w", target, err)
	}
	previews := make([]Preview, 0, len(found))
	for _, schema := range found {
		previews = append(previews, schema.Preview)
	}
	slices.SortStableFunc(previews, func(a, b Preview) int { return b.LiveSince.Compare(a.LiveSince) })
	return previews, nil
}

// markedSchema is a schema with the mark, and whether it has workers to look at.
type markedSchema struct {
	Preview
	readable bool
}

func markedSchemas(ctx context.Context, db DB, target string, want func(schema string) bool) ([]markedSchema, error) {
	sql, err := statementsFor("pg_catalog") // the query names no schema of jobs
	if err != nil {
		return nil, err
	}
	rows, err := db.Query(ctx, sql.get("previews"), PreviewMark(target))
	if err != nil {
		return nil, err
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s markedSchema, err error) {
		return s, row.Scan(&s.Schema, &s.readable)
	})
	all = slices.DeleteFunc(all, func(s markedSchema) bool { return !want(s.Schema) })
	return all[:min(len(all), maxPreviews)], err
}

// readLiveSince reads it of all schemas in one statement.
func readLiveSince(ctx context.Context, db DB, schemas []markedSchema) error {
	var parts []string
	for i, schema := range schemas {
		sql, err := statementsFor(schema.Schema)
		if err != nil {
			return err
		}
		if schema.readable {
			parts = append(parts, fmt.Sprintf("SELECT %d, (%s)", i, sql.get("live_since")))
		}
	}
	if len(parts) == 0 {
		return nil
	}
	rows, err := db.Query(ctx, strings.Join(parts, "\nUNION ALL\n"))
	if err != nil {
		return err
	}
	var i int
	var since *time.Time
	_, err = pgx.ForEachRow(rows, []any{&i, &since}, func() error {
		if since != nil {
			schemas[i].LiveSince = *since
		}
		return nil
	})
	return err
}
