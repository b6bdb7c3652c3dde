package store_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/internal/pgtest"
	"github.com/understudy-worker/understudy/store"
)

// ourTables are those that a worker uses.
var ourTables = []string{"claims", "finished_counts", "finished_jobs", "later", "open_jobs", "ready", "slices", "workers"}

func (f *fixture) wantNoDoubt(t *testing.T, what string) {
	t.Helper()
	if doubts, err := store.CheckRows(t.Context(), f.pool, f.schema); err != nil || len(doubts) > 0 {
		t.Errorf("%s: doubts %q, error %v", what, doubts, err)
	}
}

func TestATableWhoseRowsAreHiddenFromTheLoginIsNamed(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	name, password := login(t, f)
	for _, grant := range runtime {
		f.exec(t, strings.ReplaceAll(grant, "{login}", name))
	}
	g := f.withPool(t, loginConfig(f.pool, name, password))
	for _, table := range ourTables {
		f.exec(t, "ALTER TABLE {schema}."+table+" ENABLE ROW LEVEL SECURITY")
		_, err := store.CheckRows(t.Context(), g.pool, f.schema)
		wantError(t, err, "row-level security hides rows of table "+table+" in schema")
		wantError(t, err, name)
		f.wantNoDoubt(t, "a superuser, whom "+table+" hides nothing from")
		f.exec(t, "CREATE POLICY all_pass ON {schema}."+table+" TO "+name+" USING (true)")
		g.wantNoDoubt(t, "a policy by which all rows of "+table+" pass")
		f.exec(t, "CREATE POLICY some_do_not ON {schema}."+table+" AS RESTRICTIVE USING (true)")
		_, err = store.CheckRows(t.Context(), g.pool, f.schema)
		wantError(t, err, "table "+table)
		f.exec(t, "ALTER ROLE "+name+" BYPASSRLS")
		g.wantNoDoubt(t, "a login that row-level security does not concern")
		f.exec(t, "ALTER ROLE "+name+" NOBYPASSRLS")
		f.exec(t, "ALTER TABLE {schema}."+table+" DISABLE ROW LEVEL SECURITY")
	}
	g.wantNoDoubt(t, "none")
}

func TestRowsThatAreHiddenFromAnOwnerAreMissedBeforeHisFunctionsMissThem(t *testing.T) {
	t.Parallel()
	f := over(t, pgtest.Schema(t))
	owner, password := login(t, f)
	f.exec(t, "CREATE SCHEMA {schema} AUTHORIZATION "+owner)
	o := f.withPool(t, loginConfig(f.pool, owner, password))
	if err := o.migrateWith(t, "", nil); err != nil {
		t.Fatal(err)
	}
	producer := f.as(t, "GRANT USAGE ON SCHEMA {schema} TO {login}", "GRANT EXECUTE ON FUNCTION {schema}.enqueue TO {login}")
	for _, table := range []string{"open_jobs", "slices"} {
		f.exec(t, "ALTER TABLE {schema}."+table+" ENABLE ROW LEVEL SECURITY")
		o.wantNoDoubt(t, "its owner, whom it hides nothing from")
		if err := store.CheckAccess(t.Context(), producer.pool, f.schema); err != nil {
			t.Errorf("what a producer calls sees all of %s: %v", table, err)
		}
		f.exec(t, "ALTER TABLE {schema}."+table+" FORCE ROW LEVEL SECURITY")
		for _, who := range []*fixture{o, f, producer} {
			err := store.CheckAccess(t.Context(), who.pool, f.schema)
			wantError(t, err, "row-level security hides rows of table "+table)
			wantError(t, err, owner)
			_, err = store.CheckRows(t.Context(), who.pool, f.schema)
			wantError(t, err, "row-level security hides rows of table "+table)
		}
		f.exec(t, "ALTER TABLE {schema}."+table+" NO FORCE ROW LEVEL SECURITY")
		f.exec(t, "ALTER TABLE {schema}."+table+" DISABLE ROW LEVEL SECURITY")
	}
}

func TestASchemaIsNotBehindWhereTheVersionIsHidden(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	g := f.as(t, runtime...)
	f.exec(t, "ALTER TABLE {schema}.understudy_migrations ENABLE ROW LEVEL SECURITY")
	_, err := store.Inspect(t.Context(), g.pool, f.schema, nil)
	wantError(t, err, "row-level security hides rows of table understudy_migrations")
	f.exec(t, "CREATE POLICY all_pass ON {schema}.understudy_migrations USING (true)")
	wantStatus(t, g, nil, "current: version {ours}")
}

func TestARuleIsRefusedAndATriggerThatMayLeaveRowsOutIsNamed(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	f.exec(t, "CREATE RULE keep AS ON DELETE TO {schema}.open_jobs DO INSTEAD NOTHING")
	_, err := store.CheckRows(t.Context(), f.pool, f.schema)
	wantError(t, err, "rule keep on table open_jobs")
	f.exec(t, "DROP RULE keep ON {schema}.open_jobs")
	f.exec(t, "CREATE FUNCTION {schema}.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'")
	f.exec(t, "CREATE TRIGGER audit AFTER INSERT ON {schema}.open_jobs FOR EACH ROW EXECUTE FUNCTION {schema}.touch()")
	f.wantNoDoubt(t, "a trigger that comes after")
	f.exec(t, "CREATE TRIGGER first BEFORE INSERT ON {schema}.finished_jobs FOR EACH ROW EXECUTE FUNCTION {schema}.touch()")
	doubts, err := store.CheckRows(t.Context(), f.pool, f.schema)
	if err != nil || len(doubts) == 0 || doubts[0] != "trigger first on table finished_jobs" {
		t.Errorf("doubts are %q, error %v", doubts, err)
	}
}

func TestCompletingAJobThatIsHiddenIsNotTakenForALostOne(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	id := mustEnqueue(t, f, store.NewJob{Kind: "a"})
	job := held(t, q, []int64{id}, "a")[0]
	g := f.as(t, runtime...)
	f.exec(t, "ALTER TABLE {schema}.open_jobs ENABLE ROW LEVEL SECURITY")
	err := pgx.BeginFunc(t.Context(), g.pool, func(tx pgx.Tx) error { return store.CompleteTx(t.Context(), tx, job) })
	wantError(t, err, "row-level security hides rows of table open_jobs")
	if errors.Is(err, understudy.ErrFenced) {
		t.Error("it is taken for one that the worker has lost")
	}
	f.exec(t, "ALTER TABLE {schema}.open_jobs DISABLE ROW LEVEL SECURITY")
	err = pgx.BeginFunc(t.Context(), g.pool, func(tx pgx.Tx) error { return store.CompleteTx(t.Context(), tx, job) })
	if err != nil {
		t.Error(err)
	}
}
