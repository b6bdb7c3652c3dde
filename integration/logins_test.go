package integration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/integration/internal/container"
)

func TestAProgramWithThePreviewsLoginLeavesProductionAloneAndSaysWhy(t *testing.T) {
	t.Parallel()
	for name, stage := range layouts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			th, c := stage(t, container.Shared(t))
			pl := th.production()
			th.enqueue(pl, "effect", 3, 0)
			before := th.everything(pl)
			for _, args := range [][]string{
				{"migrate", "up", "--target=production"}, {"migrate", "status", "--target=production"}, {"jobs", "list", "--target=production"},
				{"jobs", "cancel", "1", "--target=production"}, {"enqueue", "note", "--target=production"}, {"workers", "--target=production"},
			} {
				if out, err := th.commandAs(c.preview, args...); err == nil || !strings.Contains(err.Error(), "permission denied") {
					t.Errorf("%v: error %v, want that permission is denied; it printed %s", args, err, out)
				}
			}
			pl.login = c.preview
			a := th.start("a", "active")
			th.untilSays(a, "permission denied")
			if a.Ready(t.Context()) {
				t.Error("a worker that may not work is ready")
			}
			a.end()
			if after := th.everything(pl); after != before {
				t.Errorf("production has changed:\n%s\nbefore:\n%s", after, before)
			}
		})
	}
}

// layouts are the two ways in which previews may share a server with production.
var layouts = map[string]func(t *testing.T, server *container.Postgres) (*theatre, *cast){
	"two databases": withLogins, "one database": withLoginsInOneDatabase,
}

// untilSays waits until a pod's status tells all of this.
func (th *theatre) untilSays(p *pod, texts ...string) {
	th.t.Helper()
	th.until(fmt.Sprintf("%s says %q", p.name, texts), func(ctx context.Context) bool {
		status, err := p.status(ctx)
		return err == nil && !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(status.Problem, text) })
	})
}

// status asks the process what it is doing.
func (p *pod) status(ctx context.Context) (status understudy.Status, err error) {
	body, err := p.get(ctx, "/api/status")
	if err == nil {
		err = json.Unmarshal(body, &status)
	}
	return status, err
}

func TestAWorkerWhoseLoginLacksARightClaimsNothingUntilItIsGranted(t *testing.T) {
	t.Parallel()
	th, c := withLogins(t, container.Shared(t))
	pl := th.production()
	th.enqueue(pl, "effect", 3, 0)
	th.do(execute(th.config(c.owner), "REVOKE INSERT ON production.finished_jobs FROM "+c.production.name))
	a := th.start("a", "active")
	th.untilSays(a, "permission denied for INSERT on table finished_jobs")
	if a.Ready(t.Context()) || a.epochs(t.Context(), pl) != 0 {
		t.Error("a worker that cannot record what it does began to work")
	}
	th.do(execute(th.config(c.owner), "GRANT INSERT ON production.finished_jobs TO "+c.production.name))
	th.untilDone(pl)
	th.check()
}

func TestEachPlaceIsWorkedByItsOwnLoginThroughChangesOfRole(t *testing.T) {
	t.Parallel()
	th, c := withLogins(t, container.Shared(t))
	a, b := th.start("a", "active"), th.start("b", "preview")
	th.untilServes(a, th.production(), "active")
	th.untilServes(b, th.preview(), "preview")
	stop := th.produce(60, 21, th.production(), th.preview())
	for range 2 {
		a, b = b, a
		th.do(b.SetRole(t.Context(), "preview"))
		th.do(a.SetRole(t.Context(), "active"))
		th.untilServes(a, th.production(), "active")
		th.untilServes(b, th.preview(), "preview")
		th.untilMore(th.production(), 30)
		th.untilMore(th.preview(), 30)
		th.workedBy(th.production(), c.production)
		th.workedBy(th.preview(), c.preview)
	}
	stop()
	th.untilDone(th.production())
	th.untilDone(th.preview())
	th.check()
}

// workedBy sees that the workers' sessions on a place are of one login.
func (th *theatre) workedBy(pl *place, who login) {
	th.t.Helper()
	rows, err := pl.pool.Query(th.t.Context(), "SELECT DISTINCT usename::text FROM pg_stat_activity WHERE datname = current_database() AND application_name ~ $1",
		"^[a-z]+/"+pl.target)
	th.do(err)
	logins, err := pgx.CollectRows(rows, pgx.RowTo[string])
	th.do(err)
	if !slices.Equal(logins, []string{who.name}) {
		th.t.Errorf("%s is worked by %v, want %s", pl.target, logins, who.name)
	}
}

func TestOneLoginDoesNotSeeTheStatementsOfAnother(t *testing.T) {
	t.Parallel()
	th, c := withLogins(t, container.Shared(t))
	production := th.session(c.production)
	_, err := production.Exec(t.Context(), "SELECT production.enqueue('note', '{\"card\": \"4111\"}')", pgx.QueryExecModeSimpleProtocol)
	th.do(err)
	const last = "SELECT query FROM pg_stat_activity WHERE pid = $1"
	for who, sees := range map[login]bool{c.production: true, c.preview: false, c.producer: false} {
		var query string
		pl := th.production()
		if who == c.preview {
			pl = th.preview()
		}
		th.do(th.sessionIn(pl, who).QueryRow(t.Context(), last, production.PgConn().PID()).Scan(&query))
		if strings.Contains(query, "4111") != sees {
			t.Errorf("%s sees %q", who.name, query)
		}
	}
}

func TestAForgedNotificationCostsALookAndChangesNothing(t *testing.T) {
	t.Parallel()
	th, c := withLoginsInOneDatabase(t, container.Shared(t))
	pl := th.production()
	a := th.start("a", "active")
	th.untilServes(a, pl, "active")
	th.enqueue(pl, "slow", 20, time.Second)
	th.until("a runs something", func(context.Context) bool { return a.process().busy() })
	preview := th.session(c.preview)
	for range 500 {
		_, err := preview.Exec(t.Context(), "SELECT pg_notify('understudy_' || md5('production'), '1'), pg_notify('understudy_cancel_' || md5('production'), '1')")
		th.do(err)
	}
	th.untilDone(pl)
	if begun := a.epochs(t.Context(), pl); begun != 1 {
		t.Errorf("%d epochs, want the one that it was in", begun)
	}
	if verdict := th.check(); verdict.Jobs[understudy.StateCompleted] != 20 || verdict.Runs != 20 {
		t.Errorf("%v after %d runs, want 20 that completed at the first", verdict.Jobs, verdict.Runs)
	}
}

func TestAMigrationWhoseLockAnotherLoginHoldsSaysWhoAndEnds(t *testing.T) {
	t.Parallel()
	th, c := withLoginsInOneDatabase(t, container.Shared(t))
	pl := th.production()
	_, err := pl.pool.Exec(t.Context(), "UPDATE production.understudy_migrations SET version = 1")
	th.do(err)
	preview := th.session(c.preview)
	hash := fnv.New32a() // as the program makes the lock's key
	_, err = hash.Write([]byte(pl.schema))
	th.do(err)
	_, err = preview.Exec(t.Context(), "SELECT pg_advisory_lock($1, $2)", 0x756e6473, int32(hash.Sum32()))
	th.do(err)
	out, err := th.commandAs(c.owner, "migrate", "up", "--target=production", "--wait=2s")
	if err == nil || !strings.Contains(err.Error(), `of login "`+c.preview.name+`"`) {
		t.Errorf("error %v, want that it names %s; it printed %s", err, c.preview.name, out)
	}
	th.do(preview.Close(t.Context()))
	_, err = th.commandAs(c.owner, "migrate", "status", "--target=production")
	th.do(err)
}
