package store_test

import (
	"os"
	"testing"

	"github.com/understudy-worker/understudy/internal/pgtest"
)

// TestMain runs the tests, or what a test has started this binary for.
func TestMain(m *testing.M) {
	if schema := os.Getenv(childSchema); schema != "" {
		os.Exit(migrateAsChild(schema))
	}
	pgtest.Main(m)
}
