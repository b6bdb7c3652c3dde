// Package migrations holds the SQL files that bring a schema to the version
// that this binary needs. Each file is one transaction, run with the schema
// first in its search path.
package migrations

import "embed"

// Files are the migrations, named as golang-migrate wants them.
//
//go:embed *.sql
var Files embed.FS
