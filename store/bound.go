package store

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-worker/understudy/migrations"
)

// BoundError says that a schema's functions act on another schema, whose name
// they keep: it was renamed since, or is a copy.
type BoundError struct {
	Schema string
	To     string // the other schema
}

func (e *BoundError) Error() string {
	return fmt.Sprintf("the functions of schema %q act on schema %q, whose name they keep: it was renamed, or copied; migrate up has them act on their own", e.Schema, e.To)
}

// boundFunction is a function of ours that acts on another schema than its own.
type boundFunction struct {
	function string // with its arguments, as in SQL
	schema   string
}

func boundElsewhere(ctx context.Context, db DB, sql statements, schema string) ([]boundFunction, error) {
	rows, err := db.Query(ctx, sql.get("bound_elsewhere"), schema, ourFunctions())
	if err == nil {
		var all []boundFunction
		all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (f boundFunction, err error) {
			err = row.Scan(&f.function, &f.schema)
			if quoted, found := strings.CutPrefix(f.schema, `"`); found {
				f.schema = strings.ReplaceAll(strings.TrimSuffix(quoted, `"`), `""`, `"`)
			}
			return f, err
		})
		if err == nil {
			return all, nil
		}
	}
	return nil, fmt.Errorf("look for what the functions of schema %q act on: %w", schema, err)
}

// bind has the functions of the schema act on it again, all or none.
func (m *migration) bind(ctx context.Context) error {
	sql, err := statementsFor(m.Schema)
	if err != nil {
		return err
	}
	bound, err := boundElsewhere(ctx, m.conn, sql, m.Schema)
	if err != nil || len(bound) == 0 {
		return err
	}
	m.Log.Warn("the functions of the schema act on another: they are set to act on their own", "schema", m.Schema, "other", bound[0].schema)
	alter := &pgx.Batch{} // one transaction
	for _, f := range bound {
		alter.Queue("ALTER FUNCTION " + f.function + " SET search_path = " + ourSearchPath(m.Schema))
	}
	if err := m.conn.SendBatch(ctx, alter).Close(); err != nil {
		return fmt.Errorf("have the functions of schema %q act on it: %w", m.Schema, err)
	}
	return nil
}

var functionMade = regexp.MustCompile(`(?m)^CREATE (?:OR REPLACE )?FUNCTION (\w+)\(`)

// ourFunctions are the names of the functions that our migrations make.
var ourFunctions = sync.OnceValue(func() []string {
	names := map[string]bool{}
	files, _ := fs.Glob(migrations.Files, "*.sql") // the pattern is right
	for _, file := range files {
		text, err := fs.ReadFile(migrations.Files, file)
		if err != nil {
			panic("store: embedded migrations: " + err.Error())
		}
		for _, match := range functionMade.FindAllSubmatch(text, -1) {
			names[string(match[1])] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
})
