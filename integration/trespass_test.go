package integration_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/understudy-worker/understudy/integration/internal/container"
)

// everyRelation are statements that read and change each table, view and
// sequence of a schema.
const everyRelation = `
SELECT format(verb, c.oid::regclass) FROM pg_class c, unnest(CASE c.relkind
	WHEN 'S' THEN ARRAY['TABLE %s', 'SELECT nextval(''%s'')', 'SELECT setval(''%s'', 1)']
	WHEN 'v' THEN ARRAY['TABLE %s', 'DO ''BEGIN LOCK TABLE %s; END''']
	ELSE ARRAY['TABLE %s', 'DO ''BEGIN LOCK TABLE %s; END''', 'INSERT INTO %s DEFAULT VALUES', 'DELETE FROM %s', 'TRUNCATE %s'] END) verb
WHERE c.relnamespace = $1::regnamespace AND c.relkind IN ('r', 'p', 'v', 'S')`

// everyFunction are calls of each function of a schema but some.
const everyFunction = `
SELECT format('SELECT %s(%s)', p.oid::regproc, (SELECT string_agg('NULL::' || format_type(t, NULL), ', ') FROM unnest(p.proargtypes) t))
FROM pg_proc p WHERE p.pronamespace = $1::regnamespace AND p.proname <> ALL ($2)`

// trespasses change a schema itself, what is said about it, or who may.
var trespasses = []string{
	"CREATE TABLE {schema}.mine ()", "CREATE FUNCTION {schema}.mine() RETURNS int RETURN 1", "CREATE VIEW {schema}.mine AS SELECT 1",
	"CREATE TRIGGER mine AFTER INSERT ON {schema}.open_jobs EXECUTE FUNCTION suppress_redundant_updates_trigger()",
	"CREATE INDEX ON {schema}.open_jobs (queue)", "ALTER TABLE {schema}.open_jobs ADD COLUMN mine int", "ALTER TABLE {schema}.ready RENAME TO mine",
	"DROP TABLE {schema}.open_jobs", "DROP FUNCTION {schema}.cancel", "DROP SCHEMA {schema} CASCADE", "ALTER SCHEMA {schema} RENAME TO mine",
	"COMMENT ON VIEW {schema}.jobs IS 'mine'", "COMMENT ON SCHEMA {schema} IS 'understudy preview of target \"production\"'",
	"UPDATE {schema}.open_jobs SET args = '{}'", "UPDATE {schema}.understudy_migrations SET dirty = true", "SELECT count(*) FROM {schema}.jobs",
	"SELECT FROM {schema}.open_jobs FOR UPDATE", "COPY {schema}.open_jobs TO STDOUT", "CREATE TABLE public.mine ()",
	"SET ROLE {login}", "ALTER ROLE {login} PASSWORD 'mine'", "DROP OWNED BY {login}", "CREATE ROLE mine",
	"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{login}'",
	"SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE usename = '{login}'",
}

func TestALoginCannotReadOrChangeWhatIsTheOthers(t *testing.T) {
	t.Parallel()
	th, c := withLoginsInOneDatabase(t, container.Shared(t))
	_, err := th.commandAs(c.preview, "migrate", "up", "--target=preview")
	th.do(err)
	th.trespass(th.production(), c.preview, c.production, th.statements(th.production()))
	th.trespass(th.preview(), c.production, c.preview, th.statements(th.preview()))
}

func TestAProducerMayEnqueueAndNothingElse(t *testing.T) {
	t.Parallel()
	th, c := withLogins(t, container.Shared(t))
	pl := th.production()
	producer := th.session(c.producer)
	for _, statement := range []string{
		"SELECT {schema}.enqueue('note', '{\"MS\": 1}')", "SELECT {schema}.enqueue('note', unique_key => 'k', scheduled_at => now() + interval '1 day')",
		"SELECT {schema}.enqueue_many(ARRAY['note', 'note'], unique_keys => ARRAY['k', 'l'])",
	} {
		if _, err := producer.Exec(t.Context(), pl.sql(statement)); err != nil {
			t.Errorf("%s: %v", statement, err)
		}
	}
	// Anybody may NOTIFY, and so call notify().
	th.trespass(pl, c.producer, c.production, th.statements(pl, "enqueue", "enqueue_many", "notify"))
}

// statements are all that no stranger may do, but for calls of some functions.
func (th *theatre) statements(pl *place, but ...string) []string {
	th.t.Helper()
	ctx := th.t.Context()
	schema := pgx.Identifier{pl.schema}.Sanitize()
	relations, err := pl.pool.Query(ctx, everyRelation, schema)
	th.do(err)
	all, err := pgx.CollectRows(relations, pgx.RowTo[string])
	th.do(err)
	functions, err := pl.pool.Query(ctx, everyFunction, schema, append([]string{}, but...))
	th.do(err)
	calls, err := pgx.CollectRows(functions, pgx.RowTo[string])
	th.do(err)
	if len(all) < 100 || len(calls) < 10 {
		th.t.Fatalf("schema %s has %d statements on relations and %d functions, which cannot be all", pl.schema, len(all), len(calls))
	}
	return slices.Concat(all, calls, trespasses)
}

// trespass sees that the server refuses a login each of the statements on a
// place that another one works.
func (th *theatre) trespass(pl *place, intruder, own login, statements []string) {
	th.t.Helper()
	th.enqueue(pl, "effect", 3, 0)
	th.session(own) // which it could end
	before := th.everything(pl)
	session := th.session(intruder)
	for _, statement := range statements {
		statement = strings.ReplaceAll(pl.sql(statement), "{login}", own.name)
		_, err := session.Exec(th.t.Context(), statement, pgx.QueryExecModeSimpleProtocol)
		var pgErr *pgconn.PgError
		if !errors.As(err, &pgErr) || pgErr.Code != pgerrcode.InsufficientPrivilege {
			th.t.Errorf("%s as %s: %v, want that permission is denied", statement, intruder.name, err)
		}
	}
	if after := th.everything(pl); after != before {
		th.t.Errorf("%s has changed:\n%s\nbefore:\n%s", pl.target, after, before)
	}
}

// everything sums up all rows, columns, functions and rights of a schema.
func (th *theatre) everything(pl *place) (sum string) {
	th.t.Helper()
	sql := `SELECT concat_ws(E'\n',
		(SELECT string_agg(oid::regclass || ' ' || coalesce(relacl::text, '') || ' ' || relowner::regrole || ' '
			|| md5(query_to_xml('TABLE ' || oid::regclass, true, false, '')::text), E'\n' ORDER BY relname)
			FROM pg_class WHERE relnamespace = $1::regnamespace AND relkind IN ('r', 'p', 'v', 'S')),
		(SELECT md5(string_agg(a::text, ',' ORDER BY attrelid, attnum)) FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid WHERE relnamespace = $1::regnamespace),
		(SELECT md5(string_agg(p::text, ',' ORDER BY oid)) FROM pg_proc p WHERE pronamespace = $1::regnamespace),
		(SELECT n::text || obj_description(oid) FROM pg_namespace n WHERE oid = $1::regnamespace))`
	th.do(pl.pool.QueryRow(th.t.Context(), sql, pgx.Identifier{pl.schema}.Sanitize()).Scan(&sum))
	return sum
}
