package integration_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/integration/internal/container"
	"github.com/understudy-worker/understudy/integration/internal/history"
	"github.com/understudy-worker/understudy/internal/pause"
)

// shutdowns are the ways in which a server can go down.
var shutdowns = []container.Shutdown{container.Fast, container.Immediate, container.Crash}

// onOwnServer is a theatre of two schemas on a server that its test may break.
func onOwnServer(t *testing.T) *theatre {
	t.Helper()
	server := container.StartPostgres(t, nil)
	return newTheatre(t, server, server)
}

// restart restarts the server of all places.
func (th *theatre) restart(how container.Shutdown) {
	th.t.Helper()
	th.do(th.breakServer(th.production(), how, func() error {
		return th.production().server.Restart(th.t.Context(), how)
	}))
}

// breakServer notes, for every place on the server, that it is down while do
// lasts.
func (th *theatre) breakServer(pl *place, how container.Shutdown, do func() error) error {
	from := time.Now()
	err := do()
	for _, other := range th.places {
		if other.server == pl.server {
			other.pool.Reset() // its connections may be broken too
			other.broken(history.Interval{From: from, To: time.Now()}, how != container.Fast)
		}
	}
	return err
}

func TestNothingIsLostWhenTheServerRestartsUnderLoad(t *testing.T) {
	t.Parallel()
	th := onOwnServer(t)
	th.start("a", "active")
	th.start("b", "active")
	th.start("c", "preview")
	stop := th.produce(50, 2, th.production(), th.preview())
	th.untilMore(th.preview(), 20)
	for range 2 {
		for _, how := range shutdowns {
			th.untilMore(th.production(), 50)
			th.restart(how)
		}
	}
	th.untilMore(th.production(), 50)
	th.untilMore(th.preview(), 20)
	stop()
	th.untilDone(th.production())
	th.untilDone(th.preview())
	th.check()
}

// The moments at which a server goes down: a statement of such a name waits for
// a lock on that table, and goes down with the server.
var moments = map[string]string{
	"claim":                  "ready",
	"finish":                 "finished_counts",
	"requeue":                "later",
	"renew_epoch|open_epoch": "workers", // whether or not it still has one
	"complete_in_tx":         "finished_jobs",
	"promote":                "later",
}

func TestNothingIsLostWhenTheServerGoesDownInTheMiddleOf(t *testing.T) {
	t.Parallel()
	for _, how := range shutdowns {
		t.Run(string(how), func(t *testing.T) {
			t.Parallel()
			th := onOwnServer(t)
			th.start("a", "active")
			th.start("b", "active")
			stop := th.produce(50, 3, th.production())
			for statement, table := range moments {
				th.untilMore(th.production(), 20)
				th.inTheMiddle(statement, table, func() { th.restart(how) })
			}
			th.untilMore(th.production(), 20)
			stop()
			th.untilDone(th.production())
			th.check()
		})
	}
}

// inTheMiddle does something while a statement of the workers waits for a lock.
func (th *theatre) inTheMiddle(statement, table string, do func()) {
	th.t.Helper()
	pl := th.production()
	ctx := th.t.Context()
	// Nothing can be enqueued during some locks: these get to every statement, sooner or later.
	for _, kind := range []string{"slow", "flaky", "effect"} {
		for takes := 300 * time.Millisecond; takes < lease; takes *= 2 {
			th.enqueue(pl, kind, 5, takes)
		}
	}
	conn, err := pgx.ConnectConfig(ctx, pl.pool.Config().ConnConfig)
	th.do(err)
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // may have gone down with the server
	for _, sql := range []string{"BEGIN", "LOCK TABLE {schema}." + table + " IN ACCESS EXCLUSIVE MODE"} {
		if _, err := conn.Exec(ctx, pl.sql(sql)); err != nil {
			th.t.Fatalf("%s: %v", sql, err)
		}
	}
	th.untilSQL(pl, statement+" is under way",
		"SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query ~ $1)",
		"^-- name: ("+statement+")\n")
	do()
}

func TestNothingIsLostWhenEveryConnectionIsTerminatedAgainAndAgain(t *testing.T) {
	t.Parallel()
	th := onOneServer(t)
	// No worker is to be lost for a connection: its lease outlasts a busy machine.
	const long = "--worker.lease=60s"
	th.start("a", "active", long)
	th.start("b", "active", long)
	th.start("c", "preview", long)
	stop := th.produce(50, 4, th.production(), th.preview())
	th.untilMore(th.preview(), 20)
	for range 10 {
		th.untilMore(th.production(), 30)
		th.do(th.production().terminateAll(t.Context()))
	}
	for statement, table := range moments {
		th.untilMore(th.production(), 20)
		th.inTheMiddle(statement, table, func() { th.do(th.production().terminateAll(t.Context())) })
	}
	stop()
	th.untilDone(th.production())
	th.untilDone(th.preview())
	if losses := th.check().Lost; losses != 0 {
		t.Errorf("%d times a worker was lost for a connection", losses)
	}
}

// terminateAll ends every session of the workers.
func (pl *place) terminateAll(ctx context.Context) error {
	_, err := pl.pool.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name LIKE '%/%'`)
	return err
}

// freezeServer lets a place's server stand still for a while.
func (th *theatre) freezeServer(ctx context.Context, pl *place, length time.Duration) error {
	return th.breakServer(pl, container.Fast, func() error {
		if err := pl.server.Freeze(ctx); err != nil {
			return err
		}
		return errors.Join(pause.For(ctx, length), pl.server.Thaw(ctx))
	})
}

func TestAFrozenServerIsWaitedForAndNothingIsLost(t *testing.T) {
	t.Parallel()
	th := onOwnServer(t)
	th.start("a", "active")
	th.start("b", "active")
	stop := th.produce(50, 5, th.production())
	for _, length := range []time.Duration{lease / 4, lease * 2} {
		th.untilMore(th.production(), 30)
		th.do(th.freezeServer(t.Context(), th.production(), length))
	}
	th.untilMore(th.production(), 30)
	stop()
	th.untilDone(th.production())
	th.check()
}

func TestAPlaceWhoseServerIsAwayIsServedWhenItComesBack(t *testing.T) {
	t.Parallel()
	th := onTwoServers(t)
	ctx := t.Context()
	preview := th.preview()
	p := th.start("a", "preview")
	th.untilServes(p, preview, "preview")
	th.do(th.breakServer(preview, container.Immediate, func() error {
		if err := preview.server.Stop(ctx, container.Immediate); err != nil {
			return err
		}
		// Production does not depend on the preview's server: the role changes there and back.
		th.do(p.SetRole(ctx, "active"))
		th.untilServes(p, th.production(), "active")
		th.enqueue(th.production(), "effect", 50, 10*time.Millisecond)
		th.untilDone(th.production())
		th.do(p.SetRole(ctx, "preview"))
		th.until("it says that it cannot reach the preview", func(ctx context.Context) bool { return p.troubled(ctx, "preview") })
		if !p.Ready(ctx) {
			t.Error("a pod that cannot reach its preview is not ready: a rollback would wait for it")
		}
		return preview.server.Start(ctx)
	}))
	th.untilServes(p, preview, "preview")
	th.enqueue(preview, "effect", 50, 10*time.Millisecond)
	th.untilDone(preview)
	th.check()
}

// troubled says whether the process reports that something stands in the way
// of a target.
func (p *pod) troubled(ctx context.Context, target string) bool {
	var status understudy.Status
	body, err := p.get(ctx, "/api/status")
	return err == nil && json.Unmarshal(body, &status) == nil && status.Problem != "" && status.Target == target
}

// onTwoServers is a theatre whose preview has a server of its own.
func onTwoServers(t *testing.T) *theatre {
	t.Helper()
	production := container.Shared(t)
	return newTheatre(t, production, container.StartPostgres(t, nil))
}
