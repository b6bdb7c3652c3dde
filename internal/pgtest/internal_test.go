package pgtest

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
)

// recorder is a test that keeps its complaints.
type recorder struct {
	testing.TB
	complaints []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.complaints = append(r.complaints, fmt.Sprintf(format, args...))
}

func TestSessionLeftInASchemaIsEndedAndComplainedAbout(t *testing.T) {
	t.Parallel()
	schema := uniqueName(t)
	left := Conn(t)
	for _, statement := range []string{
		"CREATE SCHEMA " + schema, "CREATE TABLE " + schema + ".things (id int)",
		"BEGIN", "LOCK TABLE " + schema + ".things",
	} {
		if _, err := left.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	r := &recorder{TB: t}
	dropSchema(r, DSN(t), schema, 100*time.Millisecond)
	want := []string{fmt.Sprintf("the test left a session behind that holds locks in its schema %q", schema)}
	if diff := cmp.Diff(want, r.complaints); diff != "" {
		t.Errorf("complaints (-want +got):\n%s", diff)
	}
	var count int
	row := Conn(t).QueryRow(t.Context(), "SELECT count(*) FROM pg_namespace WHERE nspname = $1", schema)
	if err := row.Scan(&count); err != nil || count != 0 {
		t.Errorf("%d schemas are left, error %v", count, err)
	}
	if left.Ping(t.Context()) == nil {
		t.Error("the session that was left behind lives on")
	}
}

func TestDSNOfAnotherDatabaseKeepsTheRest(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{
		"postgres://me:secret@127.0.0.1:5433/one?sslmode=disable&application_name=x",
		"postgres://me:secret@127.0.0.1:5433/?database=one&application_name=x",
		"host=127.0.0.1 port=5433 user=me password=secret dbname=one application_name=x",
	} {
		config, err := pgx.ParseConfig(withDatabase(dsn, "two"))
		if err != nil {
			t.Fatal(err)
		}
		got := []any{config.Host, config.Port, config.User, config.Password, config.Database, config.RuntimeParams["application_name"]}
		want := []any{"127.0.0.1", uint16(5433), "me", "secret", "two", "x"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s with another database (-want +got):\n%s", dsn, diff)
		}
	}
}
