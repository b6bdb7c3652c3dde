package store_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/understudy-worker/understudy/internal/pgtest"
	"github.com/understudy-worker/understudy/store"
)

// seeds is an application's migration.
var seeds = fstest.MapFS{"0001_seed.up.sql": {Data: []byte("CREATE TABLE rates (x int)")}}

// versionWrites change a version table, or keep others from it.
var versionWrites = []string{
	"UPDATE %s SET version = version", "UPDATE %s SET dirty = true", "DELETE FROM %s", "INSERT INTO %s VALUES (9, false)", "TRUNCATE %s",
	"DO 'BEGIN LOCK TABLE %s; END'", "SELECT FROM %s FOR UPDATE",
}

func TestEachMigrationLeavesTheVersionTablesToTheirOwner(t *testing.T) {
	t.Parallel()
	f := over(t, pgtest.Schema(t))
	name, password := login(t, f)
	owner, ownerPassword := login(t, f)
	g, own := f.withPool(t, loginConfig(f.pool, name, password)), f.withPool(t, loginConfig(f.pool, owner, ownerPassword))
	grants := func(statements ...string) func() { // of the administrator
		return func() {
			for _, statement := range statements {
				f.exec(t, strings.NewReplacer("{login}", name, "{owner}", owner).Replace(statement))
			}
		}
	}
	for _, c := range []struct {
		name  string
		grant func()
	}{
		{"default privileges", grants("CREATE SCHEMA {schema} AUTHORIZATION {owner}", "GRANT USAGE ON SCHEMA {schema} TO {login}",
			"ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {schema} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {login}",
			"ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {schema} GRANT EXECUTE ON FUNCTIONS TO {login}")},
		{"a grant on all tables", grants("GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO {login}")},
		{"a grant to everybody", grants("GRANT ALL ON {schema}.understudy_migrations, {schema}.app_migrations TO PUBLIC")},
		{"a grant on columns", grants("GRANT UPDATE (version, dirty), INSERT (version) ON {schema}.understudy_migrations TO {login}",
			"GRANT UPDATE (version), REFERENCES (version) ON {schema}.app_migrations TO {login}")},
		{"a grant that is handed on", func() {
			between, betweenPassword := login(t, f)
			grants("GRANT USAGE ON SCHEMA {schema} TO "+between, "GRANT ALL ON {schema}.app_migrations TO "+between+" WITH GRANT OPTION")()
			f.withPool(t, loginConfig(f.pool, between, betweenPassword)).exec(t, "GRANT ALL ON {schema}.app_migrations TO "+name)
		}},
	} {
		c.grant()
		if err := own.migrateWith(t, "", seeds); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		for _, table := range []string{"{schema}.understudy_migrations", "{schema}.app_migrations"} {
			for _, write := range versionWrites {
				_, err := g.pool.Exec(t.Context(), f.sql(strings.ReplaceAll(write, "%s", table)))
				if err == nil || !strings.Contains(err.Error(), "permission denied") {
					t.Errorf("%s: %s on %s: %v", c.name, write, table, err)
				}
			}
		}
		// What a worker needs is left: it reads how far the schema is, and works.
		if status, err := store.Inspect(t.Context(), g.pool, f.schema, seeds); err != nil || !status.Serves() {
			t.Errorf("%s: the worker's login finds the schema %s, error %v", c.name, status, err)
		}
	}
	if err := store.CheckGrants(t.Context(), g.pool, f.schema); err != nil {
		t.Error(err)
	}
	if may := get[bool](t, f, "SELECT has_table_privilege($1, $2, 'INSERT')", name, f.sql("{schema}.rates")); !may {
		t.Error("the worker's login lost its right on a table of the application's")
	}
}

func TestALoginThatOwnsNothingFindsASchemaThatIsUpToDateAsItIs(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	other, _ := login(t, f)
	f.exec(t, "GRANT UPDATE ON {schema}.understudy_migrations TO "+other) // which only the owner can take back
	name, password := login(t, f)
	f.exec(t, "GRANT USAGE ON SCHEMA {schema} TO "+name)
	f.exec(t, "GRANT SELECT ON {schema}.understudy_migrations TO "+name)
	if err := f.withPool(t, loginConfig(f.pool, name, password)).migrateWith(t, "", nil); err != nil {
		t.Error(err)
	}
}
