package store_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
)

// wantNone runs a query that names what breaks a rule.
func (f *fixture) wantNone(t *testing.T, rule, query string) {
	t.Helper()
	rows, err := f.pool.Query(t.Context(), query, f.schema)
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{}, names); diff != "" {
		t.Errorf("%s, but for these (-want +got):\n%s", rule, diff)
	}
}

func TestEverythingInTheSchemaCarriesAComment(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	f.wantNone(t, "every table and view has a comment", `
		SELECT relname::text FROM pg_class WHERE relnamespace = $1::text::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f')
			AND obj_description(oid, 'pg_class') IS NULL`)
	f.wantNone(t, "every column has a comment, on the table where it has partitions", `
		SELECT c.relname || '.' || a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
		WHERE relnamespace = $1::text::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT relispartition
			AND a.attnum > 0 AND NOT a.attisdropped AND col_description(c.oid, a.attnum) IS NULL`)
	f.wantNone(t, "every function has a comment", `
		SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = $1::text::regnamespace AND obj_description(oid, 'pg_proc') IS NULL`)
}

func TestNoFunctionResolvesANameByItsCallersSearchPath(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	f.wantNone(t, "every function is BEGIN ATOMIC or has a search_path", `
		SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = $1::text::regnamespace AND prosqlbody IS NULL
			AND NOT EXISTS (SELECT FROM unnest(proconfig) c WHERE c LIKE 'search_path=%')`)
	f.wantNone(t, "every search_path is the schema and, last, what is temporary", `
		SELECT oid::regprocedure::text || ': ' || c FROM pg_proc, unnest(proconfig) c WHERE pronamespace = $1::text::regnamespace
			AND c LIKE 'search_path=%' AND replace(c, '"', '') <> 'search_path=' || $1 || ', pg_temp'`)
	f.wantNone(t, "what runs with its owner's rights is for nobody without a grant", `
		SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = $1::text::regnamespace AND prosecdef
			AND (proacl IS NULL OR EXISTS (SELECT FROM aclexplode(proacl) WHERE grantee = 0))`)
}

func TestNoTableIsUnlogged(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	f.wantNone(t, "every table is logged", "SELECT relname::text FROM pg_class WHERE relnamespace = $1::text::regnamespace AND relpersistence <> 'p'")
}

// columns are promises to those who use psql.
func TestTheViewsHaveTheirColumns(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	for table, want := range map[string][]string{
		"jobs": {"id", "queue", "kind", "args", "state", "priority", "scheduled_at", "attempt", "max_attempts", "losses", "unique_key", "metadata",
			"created_at", "attempted_at", "finalized_at", "worker_id", "worker_version", "worker_role", "attempts", "result", "last_error", "cancel_requested", "warning"},
		"workers":    {"id", "pod", "version", "role", "template_hash", "state", "started_at", "heartbeat_at", "lease_until", "ended_at"},
		"job_counts": {"queue", "kind", "state", "count", "due"},
	} {
		got := get[[]string](t, f, "SELECT array_agg(attname::text ORDER BY attnum) FROM pg_attribute WHERE attrelid = '{schema}."+table+"'::regclass AND attnum > 0")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("columns of %s (-want +got):\n%s", table, diff)
		}
	}
}
