package store_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/internal/pgserver"
	"github.com/understudy-worker/understudy/store"
)

func TestEveryTableHasAKeyThatLogicalReplicationCanUse(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	f.wantNone(t, "rows of every table are told apart by a primary key, or as a whole", `
		SELECT relname::text FROM pg_class c WHERE relnamespace = $1::text::regnamespace AND relkind IN ('r', 'p') AND relreplident <> 'f'
			AND (relreplident <> 'd' OR NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary))`)
	f.wantNone(t, "no column is generated: those are not replicated", `
		SELECT relname || '.' || attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
		WHERE relnamespace = $1::text::regnamespace AND a.attgenerated <> ''`)
}

func TestAPublicationOfAllTablesStopsNothing(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	f.exec(t, "CREATE PUBLICATION {schema} FOR TABLES IN SCHEMA {schema}")
	q := f.epoch(t)
	ids := f.enqueue(t, noops(40, 1)...)
	record(t, q, understudy.Outcome{Job: claim(t, q, 1, "noop0")[0], Verdict: understudy.Completed})
	if _, err := f.RetryCompleted(t.Context(), ids[0]); err != nil {
		t.Errorf("retry: %v", err)
	}
	if _, err := f.Cancel(t.Context(), ids[5]); err != nil {
		t.Errorf("cancel: %v", err)
	}
	f.exec(t, "INSERT INTO {schema}.finished_counts SELECT 0, 'q', 'k', 'completed', 1 FROM generate_series(1, 1010)") // to be added up
	f.exec(t, "UPDATE {schema}.slices SET opened_at = now() - interval '3 hours', closed_at = now() - interval '2 hours' WHERE slice = 7")
	if err := q.Prune(t.Context()); err != nil {
		t.Errorf("prune: %v", err)
	}
	f.exec(t, "DELETE FROM {schema}.finished_counts WHERE queue = 'q'")
}

func TestStatementsThatDoNotWriteJobIDHaveItWritten(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	ids := f.enqueue(t, noops(40, 1)...)
	// As programs before migration 3 write and shorten rows.
	f.exec(t, "WITH gone AS (DELETE FROM {schema}.ready RETURNING *) INSERT INTO {schema}.ready (queue, kind, priority, run_at, job_ids, requeues) SELECT queue, kind, priority, run_at, job_ids, requeues FROM gone")
	f.check(t)
	tx := f.begin(t)
	f.in(t, tx, "UPDATE {schema}.ready SET job_ids = job_ids[2:] WHERE job_ids[1] = $1", ids[0])
	var first int64
	if err := tx.QueryRow(t.Context(), f.sql("SELECT job_id FROM {schema}.ready WHERE $1 = ANY (job_ids)"), ids[1]).Scan(&first); err != nil || first != ids[1] {
		t.Errorf("job_id of the row is %d, error %v; want %d", first, err, ids[1])
	}
	rollback(t, tx)
	held(t, q, ids, "noop0")
}

func TestNoStatementOfThisProgramNeedsTheTrigger(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	f.exec(t, "ALTER TABLE {schema}.ready DISABLE TRIGGER write_job_id")
	q := f.epoch(t)
	ids := f.enqueue(t, noops(70, 1)...)
	jobs := claim(t, q, 5, "noop0")
	for i, verdict := range []understudy.Verdict{understudy.Released, understudy.Completed, understudy.Retried} {
		record(t, q, understudy.Outcome{Job: jobs[i], Verdict: verdict, Error: "no"})
	}
	for _, id := range []int64{ids[1], ids[2]} { // finished, and waiting for its retry
		if _, err := f.RetryCompleted(t.Context(), id); err != nil {
			t.Error(err)
		}
	}
	if _, err := f.Cancel(t.Context(), ids[40]); err != nil {
		t.Error(err)
	}
	later := mustEnqueue(t, f, store.NewJob{Kind: "noop0", ScheduledAt: get[time.Time](t, f, "SELECT now() + interval '1 day'")})
	f.makeDue(t, later)
	if _, err := q.Promote(t.Context()); err != nil {
		t.Error(err)
	}
	f.expireLease(t, q)
	rescue(t, f.epoch(t), 2)
	f.check(t)
}

// work does what writes and deletes rows of every table, and leaves jobs claimed.
func (f *fixture) work(t testing.TB) {
	t.Helper()
	q := f.epoch(t)
	ids := f.enqueue(t, noops(100, 1)...)
	mustEnqueue(t, f, store.NewJob{Kind: "noop0", ScheduledAt: get[time.Time](t, f, "SELECT now() + interval '1 day'")})
	jobs := claim(t, q, 50, "noop0")
	for i, verdict := range []understudy.Verdict{understudy.Completed, understudy.Retried, understudy.Released} {
		for _, job := range jobs[10*i : 10*i+10] {
			record(t, q, understudy.Outcome{Job: job, Verdict: verdict, Error: "no"})
		}
	}
	if _, err := f.Cancel(t.Context(), ids[70]); err != nil {
		t.Error(err)
	}
	if _, err := f.Retry(t.Context(), ids[70]); err != nil { // deletes a finished job
		t.Error(err)
	}
	f.exec(t, "INSERT INTO {schema}.finished_counts SELECT 0, 'q', 'k', 'completed', 1 FROM generate_series(1, 1100)")
	if err := q.Prune(t.Context()); err != nil { // adds them up
		t.Error(err)
	}
	f.exec(t, "DELETE FROM {schema}.finished_counts WHERE queue = 'q'")
	claim(t, q, 7, "noop0")
}

func TestLogicalReplicationFollowsClaimsUnderWay(t *testing.T) {
	t.Parallel()
	server, err := pgserver.Start(t.Context(), pgserver.Options{
		Settings: map[string]string{"wal_level": "logical", "fsync": "off"}, StartTimeout: 5 * time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	side := func(database string) *fixture {
		pool, err := pgxpool.New(t.Context(), server.DSN(database))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(pool.Close)
		return migrate(t, pool, "jobs")
	}
	to := side("postgres")
	to.exec(t, "CREATE DATABASE moving")
	from := side("moving")
	to.exec(t, "TRUNCATE {schema}.slices, {schema}.understudy_migrations") // a subscriber begins with the definitions only
	from.work(t)                                                           // is copied
	from.exec(t, "CREATE PUBLICATION moving FOR ALL TABLES")
	from.exec(t, "SELECT pg_create_logical_replication_slot('moving', 'pgoutput')")
	to.exec(t, "CREATE SUBSCRIPTION moving CONNECTION '"+server.DSN("moving")+"' PUBLICATION moving WITH (create_slot = false)")
	from.work(t)
	eventually(t, "the tables are copied", func() bool {
		return get[bool](t, to, "SELECT count(*) > 10 AND bool_and(srsubstate = 'r') FROM pg_subscription_rel")
	})
	from.work(t)
	end := get[string](t, from, "SELECT pg_current_wal_lsn()::text")
	eventually(t, "all is replicated", func() bool {
		return get[bool](t, from, "SELECT confirmed_flush_lsn >= $1::text::pg_lsn FROM pg_replication_slots WHERE slot_name = 'moving'", end)
	})
	for _, table := range []string{"open_jobs", "ready", "later", "claims", "workers", "slices", "finished_jobs", "finished_counts"} {
		rows := "SELECT coalesce(string_agg(r::text, E'\n' ORDER BY r::text), '') FROM {schema}." + table + " r"
		if a, b := get[string](t, from, rows), get[string](t, to, rows); a != b {
			t.Errorf("%s has\n%s\nand replicated\n%s", table, a, b)
		}
	}
	wantError(t, store.CheckSequence(t.Context(), to.pool, to.schema), "ids would be given twice") // sequences are not replicated
}

func TestEveryNotificationLooksAtTheQueueFirst(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	f.wantNone(t, "functions notify by notify()", "SELECT proname::text FROM pg_proc WHERE pronamespace = $1::text::regnamespace AND prosrc ILIKE '%pg_notify%'")
	if body := get[string](t, f, "SELECT pg_get_functiondef('{schema}.notify'::regproc)"); !strings.Contains(body, "WHEN (pg_notification_queue_usage() <= (0.5)::double precision) THEN pg_notify(") {
		t.Errorf("notify() is %s", body)
	}
}
