package store_test

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/internal/pgtest"
	"github.com/understudy-worker/understudy/store"
)

// login makes a login without rights, which is dropped when the test ends.
func login(t *testing.T, f *fixture) (name, password string) {
	t.Helper()
	name, password = "understudy_test_"+strings.ToLower(rand.Text()), rand.Text()
	f.exec(t, "CREATE ROLE "+name+" LOGIN PASSWORD '"+password+"'")
	admin := pgtest.Conn(t)
	t.Cleanup(func() {
		for _, statement := range []string{"DROP OWNED BY " + name + " CASCADE", "DROP ROLE " + name} {
			if _, err := admin.Exec(context.Background(), statement); err != nil {
				t.Errorf("%s: %v", statement, err)
			}
		}
	})
	return name, password
}

// as is the fixture's schema as a new login sees it, which has been granted
// what the statements say of {login}.
func (f *fixture) as(t *testing.T, grants ...string) *fixture {
	t.Helper()
	name, password := login(t, f)
	for _, grant := range grants {
		f.exec(t, strings.ReplaceAll(grant, "{login}", name))
	}
	return f.withPool(t, loginConfig(f.pool, name, password))
}

func loginConfig(pool *pgxpool.Pool, name, password string) *pgxpool.Config {
	config := pool.Config()
	config.ConnConfig.User, config.ConnConfig.Password = name, password
	return config
}

func TestAProducerMayEnqueueAndNothingElse(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	producer := f.as(t, "GRANT USAGE ON SCHEMA {schema} TO {login}",
		"GRANT EXECUTE ON FUNCTION {schema}.enqueue, {schema}.enqueue_many TO {login}")
	id := mustEnqueue(t, producer, store.NewJob{Kind: "a"})
	producer.enqueue(t, store.NewJob{Kind: "a"}, store.NewJob{Kind: "b", UniqueKey: "k"})
	get[int64](t, producer, "SELECT {schema}.enqueue('a', scheduled_at => now() + interval '1 day')")
	for _, statement := range []string{
		"SELECT FROM {schema}.jobs", "SELECT FROM {schema}.open_jobs", "DELETE FROM {schema}.ready", "SELECT FROM {schema}.job_counts",
		"SELECT {schema}.cancel(1)", "SELECT {schema}.retry(1)", "SELECT {schema}.prune('0')", "SELECT nextval('{schema}.open_jobs_id_seq')",
		"SELECT {schema}.insert_jobs('{1}', '{a}', NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
	} {
		_, err := producer.pool.Exec(t.Context(), f.sql(statement))
		wantError(t, err, "permission denied")
	}
	_, err := producer.Cancel(t.Context(), id)
	wantError(t, err, "permission denied for function cancel")
}

// runtime are the grants that a worker's login needs.
var runtime = []string{
	"GRANT USAGE ON SCHEMA {schema} TO {login}",
	"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {login}",
	"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {schema} TO {login}",
}

func TestARuntimeLoginNeedsNoMoreThanItsGrants(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	g := f.as(t, runtime...)
	wholeLife(t, g)
	for _, statement := range []string{
		"DROP TABLE {schema}.ready", "TRUNCATE {schema}.finished_jobs", "CREATE TABLE {schema}.mine ()", "ALTER TABLE {schema}.workers ADD COLUMN x int",
		"DROP FUNCTION {schema}.cancel", "DROP SCHEMA {schema} CASCADE",
	} {
		if _, err := g.pool.Exec(t.Context(), g.sql(statement)); err == nil {
			t.Errorf("the runtime login may %s", statement)
		}
	}
	status, err := store.Inspect(t.Context(), g.pool, g.schema, nil)
	if err != nil || !status.Serves() {
		t.Errorf("the runtime login finds the schema %s, error %v", status, err)
	}
}

func TestALoginThatLacksAGrantIsToldWhich(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	name, password := login(t, f)
	g := f.withPool(t, loginConfig(f.pool, name, password))
	needed := strings.Split(`SELECT, INSERT, DELETE ON TABLE claims
INSERT ON TABLE finished_counts
SELECT, INSERT ON TABLE finished_jobs
SELECT, INSERT, UPDATE, DELETE ON TABLE later
SELECT, UPDATE, DELETE ON TABLE open_jobs
SELECT, INSERT, UPDATE, DELETE ON TABLE ready
SELECT ON TABLE slices
SELECT, INSERT, UPDATE ON TABLE workers
EXECUTE ON FUNCTION prune`, "\n")
	f.exec(t, "GRANT USAGE ON SCHEMA {schema} TO "+name)
	for _, grant := range needed {
		what, on, _ := strings.Cut(grant, " ON ")
		kind, object, _ := strings.Cut(on, " ")
		for privilege := range strings.SplitSeq(what, ", ") {
			err := store.CheckGrants(t.Context(), g.pool, f.schema)
			wantError(t, err, privilege+" on "+strings.ToLower(kind)+" "+object)
			f.exec(t, "GRANT "+privilege+" ON "+kind+" {schema}."+object+" TO "+name)
		}
	}
	if err := store.CheckGrants(t.Context(), g.pool, f.schema); err != nil {
		t.Error(err)
	}
	// And with these it can do all that a worker does.
	f.exec(t, "GRANT EXECUTE ON FUNCTION {schema}.enqueue, {schema}.enqueue_many, {schema}.cancel, {schema}.retry TO "+name)
	f.exec(t, "GRANT SELECT ON {schema}.jobs, {schema}.job_counts TO "+name)
	wholeLife(t, g)
}

func TestNoErrorTellsAPassword(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	config := loginConfig(f.pool, "no_such_login", "pa55w0rd")
	g := f.withPool(t, config)
	options := store.QueueOptions{Place: understudy.Place{Schema: f.schema}, Lease: time.Minute}
	q, err := store.NewQueue(g.pool, options)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	for what, call := range map[string]func() error{
		"open":    func() error { return q.Open(t.Context()) },
		"claim":   func() error { _, _, err := q.Claim(t.Context(), request("a")); return err },
		"listen":  func() error { return q.Listen(t.Context(), func() {}, func() {}) },
		"enqueue": func() error { _, err := g.Enqueue(t.Context(), store.NewJob{Kind: "a"}); return err },
		"list":    func() error { _, err := g.Jobs(t.Context(), store.Filter{}); return err },
		"migrate": func() error {
			return store.Migrate(t.Context(), config.ConnConfig, store.MigrateOptions{Schema: f.schema})
		},
	} {
		err := call()
		wantError(t, err, "authentication failed")
		wantError(t, err, f.schema)
		if strings.Contains(err.Error(), "pa55w0rd") || strings.Contains(err.Error(), "postgres://") {
			t.Errorf("%s tells the DSN: %v", what, err)
		}
	}
}
