package integration_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/understudy-worker/understudy/integration/internal/container"
	"github.com/understudy-worker/understudy/integration/internal/history"
	"github.com/understudy-worker/understudy/store"
)

// behindPgBouncer is a theatre on a server of its own that the workers reach
// through PgBouncer in transaction mode.
func behindPgBouncer(t *testing.T) (*theatre, *cast, *container.PgBouncer) {
	t.Helper()
	server := container.StartPostgres(t, nil)
	th, c := withLogins(t, server)
	bouncer := container.StartPgBouncer(t, server, map[string]string{
		c.production.name: c.production.password, c.preview.name: c.preview.password,
	})
	for _, pl := range th.places {
		pl.front = bouncer.Address()
	}
	return th, c, bouncer
}

// startPooled starts a pod that knows of the pooler, and migrates past it.
func (th *theatre) startPooled(name, role string) *pod {
	th.t.Helper()
	pl := th.preview()
	past := pl.server.LoginDSN(pl.login.name, pl.login.password, pl.database)
	return th.start(name, role, "--targets.production.pooler=transaction",
		"--targets.preview.pooler=transaction", "--targets.preview.migrate_dsn="+past)
}

// pooledSessions are the workers' sessions that came through the pooler, whose
// way to the server is its socket, and those that did not.
const pooledSessions = `SELECT count(*) FILTER (WHERE client_addr IS NULL) AS pooled, count(*) FILTER (WHERE client_addr IS NOT NULL) AS others
	FROM pg_stat_activity WHERE datname = current_database() AND application_name ~ '^[a-z]+/(production|preview)'`

// onlyPooled sees that all of the workers' sessions came through the pooler.
func (th *theatre) onlyPooled() {
	th.t.Helper()
	th.until("workers have sessions", func(ctx context.Context) bool {
		var pooled, others int
		err := th.production().pool.QueryRow(ctx, pooledSessions).Scan(&pooled, &others)
		if others != 0 {
			th.t.Errorf("%d sessions of workers did not come through PgBouncer", others)
		}
		return err == nil && pooled > 0
	})
}

// excuse says, if PgBouncer has crashed, that workers could not always reach
// the servers since a moment.
func (th *theatre) excuse(bouncer *container.PgBouncer, since time.Time) (crashed bool) {
	th.t.Helper()
	crashed, err := bouncer.Crashed(th.t.Context())
	th.do(err)
	for _, pl := range th.places {
		if crashed {
			pl.broken(history.Interval{From: since, To: time.Now()}, false)
		}
	}
	return crashed
}

func TestBehindPgBouncerRolesChangeAndNothingIsLost(t *testing.T) {
	t.Parallel()
	th, _, bouncer := behindPgBouncer(t)
	th.lease = patientLease
	begun := time.Now()
	a, b := th.startPooled("a", "active"), th.startPooled("b", "preview")
	th.untilServes(a, th.production(), "active")
	th.untilServes(b, th.preview(), "preview")
	stop := th.produce(60, 31, th.production(), th.preview())
	for range 3 {
		th.untilMore(th.production(), 30)
		th.untilMore(th.preview(), 30)
		th.onlyPooled()
		a, b = b, a
		th.do(b.SetRole(t.Context(), "preview"))
		th.do(a.SetRole(t.Context(), "active"))
		th.untilServes(a, th.production(), "active")
		th.untilServes(b, th.preview(), "preview")
	}
	stop()
	th.untilDone(th.production())
	th.untilDone(th.preview())
	crashed := th.excuse(bouncer, begun)
	if lost := th.check().Lost; lost != 0 && !crashed {
		t.Errorf("%d jobs were lost with their worker, and none was killed", lost)
	}
}

func TestBehindPgBouncerNothingIsLostWhenWorkersAreKilledAndTheServerRestarts(t *testing.T) {
	t.Parallel()
	th, _, bouncer := behindPgBouncer(t)
	begun := time.Now()
	pl := th.production()
	a, b := th.startPooled("a", "active"), th.startPooled("b", "active")
	th.untilServes(a, pl, "active")
	th.untilServes(b, pl, "active")
	stop := th.produce(60, 32, pl)
	for _, how := range shutdowns {
		th.untilMore(pl, 30)
		th.until("a runs something", func(context.Context) bool { return a.process().busy() })
		a.process().kill()
		th.do(a.start())
		th.untilMore(pl, 30)
		from := time.Now()
		th.restart(how)
		th.untilSQL(pl, "workers are back", "SELECT pooled > 0 FROM ("+pooledSessions+") s")
		th.untilMore(pl, 30)
		pl.broken(history.Interval{From: from, To: time.Now()}, false) // PgBouncer takes its time to try again
		th.onlyPooled()
	}
	stop()
	th.untilDone(pl)
	th.excuse(bouncer, begun)
	th.check()
}

func TestBehindPgBouncerARunningJobIsCancelledByPolling(t *testing.T) {
	t.Parallel()
	th, _, _ := behindPgBouncer(t)
	pl := th.production()
	a := th.startPooled("a", "active")
	th.untilServes(a, pl, "active")
	th.enqueue(pl, "slow", 1, patience)
	th.until("it runs", func(context.Context) bool { return a.process().busy() })
	state, err := pl.jobs.Cancel(t.Context(), pl.enqueued[0])
	th.do(err)
	if state != "running" {
		t.Errorf("the job is %s, want running until its handler has returned", state)
	}
	th.untilSQL(pl, "it is cancelled", "SELECT EXISTS (SELECT FROM {schema}.jobs WHERE state = 'cancelled')")
	var listening int
	th.do(pl.pool.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'").Scan(&listening))
	if listening != 0 {
		t.Errorf("%d sessions listen through a pooler, which hears nothing", listening)
	}
	th.check()
}

func TestAPoolerThatTheConfigurationDoesNotNameIsFoundOut(t *testing.T) {
	t.Parallel()
	th, c, bouncer := behindPgBouncer(t)
	pl := th.production()
	a := th.start("a", "active")
	th.untilSays(a, "unsupported startup parameter", "set targets.production.pooler to transaction")
	th.do(configure(t.Context(), bouncer, ignoreStartupParameters))
	th.untilSays(a, "lends its sessions for one transaction", "set targets.production.pooler to transaction")
	if a.Ready(t.Context()) || a.epochs(t.Context(), pl) != 0 {
		t.Error("it worked through a pooler that it knows nothing of")
	}
	a.end()
	out, err := th.commandVia(bouncer, c.preview, "migrate", "up", "--target=preview")
	if err == nil || !strings.Contains(err.Error(), "migrate_dsn") {
		t.Errorf("migrate up ended with %v and printed %s", err, out)
	}
	var made int
	th.do(pl.pool.QueryRow(t.Context(), "SELECT count(*) FROM pg_class WHERE relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('preview', 'public'))").Scan(&made))
	if made != 0 {
		t.Errorf("a migration through the pooler made %d tables", made)
	}
}

// ignoreStartupParameters has PgBouncer pass over all that a worker sets for its
// sessions, as people tell it to so that programs connect.
const ignoreStartupParameters = "ignore_startup_parameters = tcp_keepalives_idle, tcp_keepalives_interval, tcp_keepalives_count, idle_in_transaction_session_timeout, tcp_user_timeout"

// configure adds lines to PgBouncer's settings, the last of which count, and has
// it read them.
func configure(ctx context.Context, bouncer *container.PgBouncer, lines ...string) error {
	_, err := bouncer.Exec(ctx, "sh", "-c", `printf '%s\n' "$@" >>/etc/pgbouncer/pgbouncer.ini; kill -HUP 1`, "sh", strings.Join(lines, "\n"))
	return err
}

func TestBehindPgBouncerOneSessionForAllIsEnough(t *testing.T) {
	t.Parallel()
	th, _, bouncer := behindPgBouncer(t)
	th.lease = patientLease
	th.do(configure(t.Context(), bouncer, "default_pool_size = 1"))
	pl := th.production()
	a := th.startPooled("a", "active")
	th.untilServes(a, pl, "active")
	th.enqueue(pl, "effect", 50, 0)
	th.untilDone(pl)
	th.check()
}

func TestBehindPgBouncerAPoolOfTooFewSessionsOfItsOwnKeepsAWorkerFromClaiming(t *testing.T) {
	t.Parallel()
	th, _, bouncer := behindPgBouncer(t)
	th.lease = patientLease
	// Claims, outcomes, lease, listener and handlers: one each.
	th.do(configure(t.Context(), bouncer, ignoreStartupParameters, "pool_mode = session", "default_pool_size = 4"))
	pl := th.production()
	th.enqueue(pl, "note", 20, 0)
	a := th.start("a", "active")
	th.untilSays(a, "have a session for")
	var begun int
	th.do(pl.pool.QueryRow(t.Context(), pl.sql("SELECT count(*) FROM {schema}.jobs WHERE state <> 'available'")).Scan(&begun))
	if begun != 0 || a.Ready(t.Context()) {
		t.Errorf("%d jobs were claimed without a session for all that they need", begun)
	}
	th.do(configure(t.Context(), bouncer, "default_pool_size = 5"))
	th.untilDone(pl)
	th.check()
}

func TestBehindPgBouncerWhatIsSetForALoginDecidesNothing(t *testing.T) {
	t.Parallel()
	th, c, _ := behindPgBouncer(t)
	th.lease = patientLease
	pl := th.production()
	for _, parameter := range []string{
		"client_encoding = LATIN1", "standard_conforming_strings = off", "DateStyle = German, DMY", "TimeZone = 'Asia/Kathmandu'", "IntervalStyle = sql_standard",
		"lock_timeout = '50ms'", "statement_timeout = '1min'", "default_transaction_isolation = serializable", "enable_indexscan = off",
	} {
		th.do(execute(th.config(c.admin), "ALTER ROLE "+c.production.name+" SET "+parameter))
	}
	a := th.startPooled("a", "active")
	th.untilServes(a, pl, "active")
	th.do(pl.enqueue(t.Context(), store.NewJob{Kind: "note", UniqueKey: `café\'`, Metadata: map[string]any{"text": `ключ\'`}}))
	th.enqueue(pl, "effect", 20, 0)
	th.untilDone(pl)
	var kept bool
	th.do(pl.pool.QueryRow(t.Context(), pl.sql("SELECT EXISTS (SELECT FROM {schema}.jobs WHERE unique_key = $1 AND metadata->>'text' = $2)"), `café\'`, `ключ\'`).Scan(&kept))
	if !kept {
		t.Error("what is not ASCII was stored as something else")
	}
	th.check()
}
