package store

import (
	"embed"
	"fmt"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
)

//go:embed queries/*.sql
var queryFiles embed.FS

// schemaMark is what stands for the quoted schema in the query files.
const schemaMark = "{schema}"

// statements are the queries of queries/*.sql by name, for one schema.
type statements map[string]string

// perSchema keeps what statementsFor made, by schema.
var perSchema sync.Map

// maxSchemaBytes is how long a name may be: Postgres cuts off what is longer.
const maxSchemaBytes = 63

// statementsFor returns the queries for one schema.
func statementsFor(schema string) (statements, error) {
	if schema == "" || len(schema) > maxSchemaBytes || strings.Contains(schema, "\x00") {
		return nil, fmt.Errorf("schema %q: use a name of 1 to %d bytes", schema, maxSchemaBytes)
	}
	if made, ok := perSchema.Load(schema); ok {
		return made.(statements), nil
	}
	made, err := readStatements(schema)
	if err == nil {
		perSchema.Store(schema, made)
	}
	return made, err
}

// readStatements reads the embedded queries and puts the quoted schema into them.
func readStatements(schema string) (statements, error) {
	quoted := pgx.Identifier{schema}.Sanitize()
	files, err := queryFiles.ReadDir("queries")
	if err != nil {
		return nil, fmt.Errorf("read embedded queries: %w", err)
	}
	all := statements{}
	for _, file := range files {
		text, err := queryFiles.ReadFile("queries/" + file.Name())
		if err != nil {
			return nil, fmt.Errorf("read embedded queries: %w", err)
		}
		all.add(strings.ReplaceAll(string(text), schemaMark, quoted))
	}
	return all, nil
}

// add splits a file at its "-- name:" lines. Each statement keeps its line,
// which names it in pg_stat_activity and pg_stat_statements.
func (s statements) add(file string) {
	for _, part := range strings.Split(file, "-- name: ")[1:] {
		name, _, _ := strings.Cut(part, "\n")
		s[name] = "-- name: " + strings.TrimSuffix(strings.TrimSpace(part), ";")
	}
}

// get returns a statement; a name that no file has is a mistake in this package.
func (s statements) get(name string) string {
	sql, ok := s[name]
	if !ok {
		panic("store: no query is named " + name)
	}
	return sql
}
