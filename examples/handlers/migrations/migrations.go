// Package migrations holds the shop's own tables, which stand in the same
// schema as its jobs: a preview has a set of its own.
package migrations

import "embed"

// Files are the migrations, named as golang-migrate wants them.
//
//go:embed *.sql
var Files embed.FS
