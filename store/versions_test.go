package store_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/internal/pgtest"
	"github.com/understudy-worker/understudy/migrations"
	"github.com/understudy-worker/understudy/store"
)

// migratedBefore is a schema that lacks the migration of that number and those
// after it, and what runs these.
func migratedBefore(t *testing.T, number string) (f *fixture, rest func()) {
	t.Helper()
	f = over(t, pgtest.Schema(t))
	f.exec(t, "CREATE SCHEMA {schema}")
	files, err := fs.Glob(migrations.Files, "*.up.sql")
	if err != nil {
		t.Fatal(err)
	}
	run := func(wanted func(file string) bool) {
		tx := f.begin(t)
		f.in(t, tx, "SET LOCAL search_path = {schema}, pg_temp")
		for _, file := range files {
			text, err := fs.ReadFile(migrations.Files, file)
			if err == nil && wanted(file) {
				_, err = tx.Exec(t.Context(), string(text), pgx.QueryExecModeSimpleProtocol)
			}
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
		}
		commit(t, tx)
	}
	run(func(file string) bool { return file < number })
	return f, func() { run(func(file string) bool { return file >= number }) }
}

// The statements of the program before migration 4.
const (
	releasedRetry      = "-- name: retry\nSELECT {schema}.retry($1)"
	releasedCompletion = `-- name: complete_in_tx
WITH gone AS (
    DELETE FROM {schema}.open_jobs j
    USING {schema}.claims c
    WHERE j.id = $1 AND j.requeues = $2 AND c.worker_id = $3::uuid AND c.number = $4
    RETURNING j.*
), done AS (
    INSERT INTO {schema}.finished_jobs (slice, id, queue, kind, args, state, priority, scheduled_at, attempt, max_attempts, losses,
        requeues, unique_key, metadata, created_at, attempted_at, worker_id, worker_version, worker_role, past_attempts, result, last_error)
    SELECT (SELECT slice FROM {schema}.slices WHERE opened_at IS NOT NULL AND closed_at IS NULL),
        g.id, queue, kind, args, 'completed', priority, scheduled_at, attempt + 1, max_attempts, losses,
        requeues, unique_key, metadata, created_at, $5, $3::uuid, w.version, w.role, past_attempts, $6::text::jsonb, last_error
    FROM gone g LEFT JOIN {schema}.workers w ON w.id = $3::uuid
), counted AS (
    INSERT INTO {schema}.finished_counts (slice, queue, kind, state, jobs)
    SELECT (SELECT slice FROM {schema}.slices WHERE opened_at IS NOT NULL AND closed_at IS NULL), queue, kind, 'completed', 1 FROM gone
)
SELECT count(*) FROM gone`
)

func TestTheProgramBeforeIsRefusedACompletedJobInWordsThatItShows(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	job := held(t, q, f.enqueue(t, store.NewJob{Kind: "a"}), "a")[0]
	c := job.Claim
	if n := get[int](t, f, releasedCompletion, job.ID, c.Requeues, c.Epoch, c.Number, job.AttemptedAt, `"done"`); n != 1 {
		t.Fatalf("the program before completed %d jobs", n)
	}
	before := f.job(t, job.ID)
	if before.State != "completed" || string(before.Result) != `"done"` || before.Warning != "" {
		t.Errorf("the job is %+v", before)
	}
	// What that program takes for words to people has one of these codes.
	_, err := f.pool.Exec(t.Context(), f.sql(releasedRetry), job.ID)
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) || pgErr.Code != "55006" || !strings.Contains(pgErr.Message, "is completed") || !strings.Contains(pgErr.Message, "retry_completed()") {
		t.Errorf("error is %v", err)
	}
	if diff := cmp.Diff(before, f.job(t, job.ID)); diff != "" {
		t.Errorf("a refused retry changed something (-before +after):\n%s", diff)
	}
	f.check(t)
	for _, outcome := range []understudy.Outcome{{Verdict: understudy.Discarded, Error: "no"}, {Verdict: understudy.Cancelled}} {
		id := f.worked(t, q, store.NewJob{Kind: "b"}, outcome)
		if state := get[string](t, f, releasedRetry, id); state != "available" {
			t.Errorf("a retry of a job that is %s: %s", outcome.Verdict, state)
		}
		completed(t, q, held(t, q, []int64{id}, "b")...)
	}
}

func TestJobsOfASchemaThatIsYetToBeMigratedAreShown(t *testing.T) {
	t.Parallel()
	f, rest := migratedBefore(t, "0004")
	ids := f.enqueue(t, store.NewJob{Kind: "a"}, store.NewJob{Kind: "b"})
	if _, err := f.Cancel(t.Context(), ids[0]); err != nil {
		t.Fatal(err)
	}
	look := func() (all []store.JobRow) {
		rows, err := f.Jobs(t.Context(), store.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			all = append(all, row, f.job(t, row.ID))
		}
		return all
	}
	before := look()
	if len(before) != 4 || before[0].ID != ids[1] || before[3].State != "cancelled" || before[3].Warning != "" {
		t.Errorf("jobs are %+v", before)
	}
	_, err := f.RetryCompleted(t.Context(), ids[0])
	wantError(t, err, "migrate the schema first")
	rest()
	if diff := cmp.Diff(before, look()); diff != "" {
		t.Errorf("the migration changed jobs (-before +after):\n%s", diff)
	}
	f.check(t)
}

func TestWhoCouldRetryCompletedJobsStillCan(t *testing.T) {
	t.Parallel()
	f, rest := migratedBefore(t, "0004")
	// An old list of grants, of a schema without default privileges.
	worker, producer := f.as(t, runtime...), f.as(t, "GRANT USAGE ON SCHEMA {schema} TO {login}", "GRANT EXECUTE ON FUNCTION {schema}.enqueue TO {login}")
	rest()
	if err := store.CheckGrants(t.Context(), worker.pool, f.schema); err != nil {
		t.Errorf("the migration makes an old list of grants too short: %v", err)
	}
	q := worker.epoch(t)
	id := worker.worked(t, q, store.NewJob{Kind: "a"}, understudy.Outcome{Verdict: understudy.Completed})
	if _, err := producer.pool.Exec(t.Context(), f.sql("SELECT {schema}.retry_completed($1)"), id); err == nil {
		t.Error("a producer may retry completed jobs")
	}
	f.exec(t, "REVOKE EXECUTE ON FUNCTION {schema}.retry_completed FROM "+pgx.Identifier{worker.pool.Config().ConnConfig.User}.Sanitize())
	_, err := worker.RetryCompleted(t.Context(), id)
	wantError(t, err, "retry: permission denied for function retry_completed: let the owner of the schema GRANT EXECUTE ON FUNCTION "+f.sql("{schema}")+`."retry_completed"(bigint) TO this login`)
	if refusal(t, err).NotFound() {
		t.Error("the job is not found")
	}
	f.exec(t, "GRANT EXECUTE ON FUNCTION {schema}.retry_completed(bigint) TO "+pgx.Identifier{worker.pool.Config().ConnConfig.User}.Sanitize())
	if state, err := worker.RetryCompleted(t.Context(), id); err != nil || state != "available" {
		t.Errorf("the job is %s, error %v", state, err)
	}
}

func TestTheFunctionsOfAMigrationAreTheirOwnersWhoeverMigrates(t *testing.T) {
	t.Parallel()
	f, rest := migratedBefore(t, "0004")
	name, password := login(t, f)
	f.exec(t, "GRANT USAGE, CREATE ON SCHEMA {schema} TO "+name)
	for _, kind := range []string{"TABLE", "FUNCTION"} {
		names := get[[]string](t, f, map[string]string{
			"TABLE":    "SELECT array_agg(oid::regclass::text) FROM pg_class WHERE relnamespace = $1::text::regnamespace AND relkind IN ('r', 'p', 'v')",
			"FUNCTION": "SELECT array_agg(oid::regprocedure::text) FROM pg_proc WHERE pronamespace = $1::text::regnamespace",
		}[kind], f.schema)
		for _, object := range names {
			f.exec(t, "ALTER "+kind+" "+object+" OWNER TO "+name)
		}
	}
	rest() // by a superuser
	owner := f.withPool(t, loginConfig(f.pool, name, password))
	q := owner.epoch(t)
	for _, retry := range []string{"retry", "retry_completed"} {
		id := owner.worked(t, q, store.NewJob{Kind: "a"}, understudy.Outcome{Verdict: understudy.Discarded, Error: "no"})
		if state := get[string](t, owner, "SELECT {schema}."+retry+"($1)", id); state != "available" {
			t.Errorf("%s: %s", retry, state)
		}
		completed(t, q, held(t, q, []int64{id}, "a")...)
	}
}
