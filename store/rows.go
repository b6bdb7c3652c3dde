package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// CheckRows returns an error where what a worker does in the schema would
// silently reach other rows than are there: row-level security hides some from
// its login, or from the owner of what it calls, or a rule has statements do
// something else. Triggers that may do so are named in doubts: an owner can have
// made them for a purpose, and whether they leave a row out only they know.
func CheckRows(ctx context.Context, db DB, schema string) (doubts []string, err error) {
	sql, err := statementsFor(schema)
	if err != nil {
		return nil, err
	}
	hidden, err := hiddenTables(ctx, db, sql, schema)
	if err != nil {
		return nil, err
	}
	if len(hidden) > 0 {
		return nil, hiddenError(schema, hidden)
	}
	rows, err := db.Query(ctx, sql.get("rewriting"), pgx.Identifier{schema}.Sanitize())
	if err != nil {
		return nil, fmt.Errorf("look for rules in schema %q: %w", schema, err)
	}
	var rules []string
	var what string
	var certain bool
	_, err = pgx.ForEachRow(rows, []any{&what, &certain}, func() error {
		if certain {
			rules = append(rules, what)
		} else {
			doubts = append(doubts, what)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for rules in schema %q: %w", schema, err)
	}
	if len(rules) > 0 {
		return doubts, fmt.Errorf("statements in schema %q do not do what they say: %s: as the owner, drop it", schema, strings.Join(rules, ", "))
	}
	return doubts, nil
}

// CheckAccess returns an error where what commands and pages call and look at in
// the schema would act on another schema, or on fewer rows than there are. A
// schema that is not there, or not migrated, is none.
func CheckAccess(ctx context.Context, db DB, schema string) error {
	sql, err := statementsFor(schema)
	if err != nil {
		return err
	}
	bound, err := boundElsewhere(ctx, db, sql, schema)
	if err != nil {
		return err
	}
	if len(bound) > 0 {
		return &BoundError{Schema: schema, To: bound[0].schema}
	}
	hidden, err := hiddenTables(ctx, db, sql, schema)
	if err != nil {
		return err
	}
	// Of its own rights a command needs no more than to read workers; the rest it
	// calls, or reads through views.
	hidden = slices.DeleteFunc(hidden, func(t hiddenTable) bool { return t.own && t.name != "workers" })
	if len(hidden) > 0 {
		return hiddenError(schema, hidden)
	}
	return nil
}

// hiddenTable is a table of which a login may not see all rows.
type hiddenTable struct {
	own   bool // the login is the session's, else the owner of something that it uses
	login string
	name  string
}

func hiddenTables(ctx context.Context, db DB, sql statements, schema string) ([]hiddenTable, error) {
	rows, err := db.Query(ctx, sql.get("hidden_tables"), pgx.Identifier{schema}.Sanitize(), ourFunctions())
	if err == nil {
		var all []hiddenTable
		all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (t hiddenTable, err error) {
			return t, row.Scan(&t.own, &t.login, &t.name)
		})
		if err == nil {
			return all, nil
		}
	}
	return nil, fmt.Errorf("look for row-level security in schema %q: %w", schema, err)
}

// hiddenError is about the first login's tables: there is a next look.
func hiddenError(schema string, hidden []hiddenTable) error {
	login, own := hidden[0].login, hidden[0].own
	var names []string
	for _, t := range hidden {
		if t.login == login && t.own == own {
			names = append(names, t.name)
		}
	}
	who := fmt.Sprintf("login %q", login)
	if !own {
		who += ", whose rights the schema's functions and views have,"
	}
	return rowSecurityError(who, schema, login, names)
}

func rowSecurityError(who, schema, login string, tables []string) error {
	return fmt.Errorf("row-level security hides rows of table %s in schema %q from %s: as the owner, run: ALTER TABLE %s DISABLE ROW LEVEL SECURITY; or as a superuser: ALTER ROLE %s BYPASSRLS",
		strings.Join(tables, ", "), schema, who, pgx.Identifier{schema, tables[0]}.Sanitize(), pgx.Identifier{login}.Sanitize())
}
