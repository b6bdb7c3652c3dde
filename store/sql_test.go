package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-worker/understudy/store"
)

// sql puts the quoted schema into a statement.
func (f *fixture) sql(statement string) string {
	return strings.ReplaceAll(statement, "{schema}", pgx.Identifier{f.schema}.Sanitize())
}

// exec runs a statement on the schema and returns how many rows it touched.
func (f *fixture) exec(t testing.TB, statement string, args ...any) int64 {
	t.Helper()
	tag, err := f.pool.Exec(t.Context(), f.sql(statement), args...)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return tag.RowsAffected()
}

// get reads one value.
func get[T any](t testing.TB, f *fixture, query string, args ...any) (value T) {
	t.Helper()
	if err := f.pool.QueryRow(t.Context(), f.sql(query), args...).Scan(&value); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return value
}

// begin begins a transaction that is rolled back when the test ends, if it is
// still open then.
func (f *fixture) begin(t testing.TB) pgx.Tx {
	t.Helper()
	tx, err := f.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	return tx
}

// in runs a statement on the schema in a transaction.
func (f *fixture) in(t testing.TB, tx pgx.Tx, statement string, args ...any) {
	t.Helper()
	if _, err := tx.Exec(t.Context(), f.sql(statement), args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// patience bounds how long a test waits for something that must happen.
const patience = 30 * time.Second

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s in vain: %s", patience, what)
		}
	}
}

// waits says that a session of the schema's waits for a lock.
func (f *fixture) waits(t testing.TB) bool {
	t.Helper()
	return get[bool](t, f, `SELECT EXISTS (SELECT FROM pg_stat_activity
		WHERE wait_event_type = 'Lock' AND query LIKE '%' || $1 || '%' AND pid <> pg_backend_pid())`, f.schema)
}

// wantError checks that an error is there and says what it must.
func wantError(t testing.TB, err error, says string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), says) {
		t.Errorf("error is %v, want one that says %q", err, says)
	}
}

// refusal is the Refusal that an error must be.
func refusal(t testing.TB, err error) *store.Refusal {
	t.Helper()
	var r *store.Refusal
	if !errors.As(err, &r) {
		t.Fatalf("error is %v, want a refusal", err)
	}
	return r
}

func commit(t testing.TB, tx pgx.Tx) {
	t.Helper()
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func rollback(t testing.TB, tx pgx.Tx) {
	t.Helper()
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
}
