//go:build cluster

package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/understudy-worker/understudy/internal/pause"
)

// Pods of the servers.
const (
	productionServer = "postgres-0"
	previewServer    = "postgres-preview-0" // in the overlay that has one
)

// psql runs statements as the superuser in production's database, and returns what
// a query says.
func (d *deployment) psql(ctx context.Context, server, sql string) (string, error) {
	return d.psqlAs(ctx, server, "postgres", "understudy", sql)
}

// psqlAs is psql as a login in a database.
func (d *deployment) psqlAs(ctx context.Context, server, login, database, sql string) (string, error) {
	out, err := run(ctx, sql, "kubectl", "exec", "--namespace", d.namespace, "-i", server, "-c", "postgres", "--",
		"psql", "--username="+login, "--dbname="+database, "--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1")
	return strings.TrimSpace(out), err
}

// ask runs a query on production's server, or ends the test.
func (d *deployment) ask(sql string, args ...any) string {
	d.t.Helper()
	out, err := d.psql(d.t.Context(), productionServer, fmt.Sprintf(sql, args...))
	if err != nil {
		d.t.Fatal(err)
	}
	return out
}

// askPreviews runs a query in the previews' database of a server, with their login.
func (d *deployment) askPreviews(server, sql string, args ...any) string {
	d.t.Helper()
	out, err := d.psqlAs(d.t.Context(), server, "understudy_preview", "understudy_preview", fmt.Sprintf(sql, args...))
	if err != nil {
		d.t.Fatal(err)
	}
	return out
}

// until waits for production's server to answer a query with true.
func (d *deployment) until(what, sql string, args ...any) {
	d.t.Helper()
	waitFor(d.t, what, stepTimeout, func() (bool, string) {
		out, err := d.psql(d.t.Context(), productionServer, fmt.Sprintf(sql, args...))
		return err == nil && out == "t", fmt.Sprint(out, err)
	})
}

// trickle enqueues numbered jobs in production, ten a second, and long ones among
// them, until stop is called. The server does it by itself, for seconds at
// a time; where it is gone meanwhile, it goes on with the next number.
func (d *deployment) trickle() (stop func()) {
	ctx, cancel := context.WithCancel(d.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			if _, err := d.psql(context.WithoutCancel(ctx), productionServer, trickleSQL); err != nil {
				_ = pause.For(ctx, time.Second) // its server restarts
			}
		}
	}()
	return func() { cancel(); <-done }
}

const trickleSQL = `
DO $$
DECLARE
    stop timestamptz := clock_timestamp() + interval '4 s';
    n bigint := (SELECT coalesce(max((args->>'n')::bigint), 0) FROM production.jobs WHERE kind = 'echo' AND args ? 'n');
BEGIN
    WHILE clock_timestamp() < stop LOOP
        n := n + 1;
        PERFORM production.enqueue('echo', jsonb_build_object('n', n));
        IF n % 10 = 0 THEN
            PERFORM production.enqueue('sleep', '{"duration": "3s"}');
        END IF;
        COMMIT;
        PERFORM pg_sleep(0.1);
    END LOOP;
END $$;`

// never checks that a version has completed no production job.
func (d *deployment) never(version string) {
	d.t.Helper()
	done := d.ask(`SELECT count(*) FROM production.jobs WHERE state = 'completed' AND worker_version = '%s'`, version)
	if done != "0" {
		d.t.Errorf("version %s completed %s production jobs", version, done)
	}
}

// works waits until a version completes production jobs that are enqueued from now on.
func (d *deployment) works(version string) {
	d.t.Helper()
	var from string
	waitFor(d.t, "production's server to answer", stepTimeout, func() (ok bool, now string) {
		now, err := d.psql(d.t.Context(), productionServer, `SELECT clock_timestamp()`)
		from = now
		return err == nil, fmt.Sprint(err)
	})
	d.until("version "+version+" to work in production",
		`SELECT count(*) >= 10 FROM production.jobs WHERE state = 'completed' AND worker_version = '%s' AND created_at > '%s'`, version, from)
}

// verdict is what the rows of production say at the end.
type verdict struct {
	Enqueued, Missing, Unfinished, Failed, Lost int
	Foreign                                     []string // roles that worked there and may not
}

// judge waits until production's jobs are finished, and has each of them: done
// once, by a version that was in production.
func (d *deployment) judge() {
	d.t.Helper()
	d.until("production's jobs to be finished", `SELECT NOT EXISTS (SELECT FROM production.jobs WHERE finalized_at IS NULL)`)
	var v verdict
	out := d.ask(`
SELECT json_build_object(
    'enqueued', count(*),
    'missing', max((args->>'n')::bigint) - count(DISTINCT args->>'n'),
    'unfinished', count(*) FILTER (WHERE finalized_at IS NULL),
    'failed', count(*) FILTER (WHERE state <> 'completed' OR attempt > 1),
    'lost', sum(losses),
    'foreign', (SELECT json_agg(role) FROM (
        SELECT worker_role FROM production.jobs
        UNION SELECT a->>'role' FROM production.jobs, jsonb_array_elements(attempts) a
        UNION SELECT role FROM production.workers) r (role) WHERE role NOT IN ('active', 'stable')))
FROM production.jobs`)
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		d.t.Fatalf("%v in %s", err, out)
	}
	d.t.Logf("production: %s", out)
	if v.Enqueued == 0 || v.Missing != 0 || v.Unfinished != 0 || v.Failed != 0 || v.Foreign != nil {
		d.t.Errorf("production has %d jobs, of which %d are gone, %d unfinished, %d failed or charged; foreign roles: %q", v.Enqueued, v.Missing, v.Unfinished, v.Failed, v.Foreign)
	}
}

// handover says how long after a moment the first production job was claimed by
// a version, and the last by the one before it.
func (d *deployment) handover(from time.Time, old, next string) {
	d.t.Helper()
	out := d.ask(`
SELECT json_build_object('first', min(attempted_at) FILTER (WHERE worker_version = '%s' AND attempted_at > '%[3]s'),
    'last', max(attempted_at) FILTER (WHERE worker_version = '%[2]s'))
FROM production.jobs`, next, old, from.Format(time.RFC3339Nano))
	var at struct{ First, Last time.Time }
	if err := json.Unmarshal([]byte(out), &at); err != nil {
		d.t.Fatalf("%v in %s", err, out)
	}
	d.t.Logf("from the command: first production claim by %s after %s, last by %s after %s (%d replicas)",
		next, at.First.Sub(from).Round(time.Millisecond), old, at.Last.Sub(from).Round(time.Millisecond), d.replicas)
}

// serverNow is the moment now by the clock of production's server.
func (d *deployment) serverNow() time.Time {
	d.t.Helper()
	before := time.Now()
	server, err := time.Parse(time.RFC3339Nano, d.ask(`SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`))
	after := time.Now()
	if err != nil {
		d.t.Fatal(err)
	}
	if server.After(before) && server.Before(after) {
		return time.Now() // one clock, as far as can be told
	}
	return server.Add(time.Since(before.Add(after.Sub(before) / 2)))
}
