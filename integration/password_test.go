package integration_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/understudy-worker/understudy/integration/internal/container"
	"github.com/understudy-worker/understudy/integration/internal/history"
	"github.com/understudy-worker/understudy/reload"
)

// become changes who the workers of a place log in as, in their Secrets.
func (th *theatre) become(pl *place, who login) {
	th.t.Helper()
	pl.mu.Lock()
	pl.login = who
	pl.mu.Unlock()
	for _, p := range th.all() {
		th.do(p.writeSecret(pl.target))
	}
}

// renewed is a login with another password.
func (who login) renewed() login { return login{who.name, rand.Text()} }

// keepsSecrets sees that no process has printed a password.
func (th *theatre) keepsSecrets(passwords ...login) {
	th.t.Helper()
	for _, w := range th.workers() {
		for _, who := range passwords {
			if strings.Contains(w.output(), who.password) {
				th.t.Errorf("%s printed a password of %s", w.pod.name, who.name)
			}
		}
	}
}

// rotations are the ways in which a login can change. While the server and the
// Secret do not agree, no session can begin, and those that there were end.
var rotations = map[string]func(th *theatre, c *cast, a *pod, to login){
	"on the server first": func(th *theatre, c *cast, a *pod, to login) {
		th.do(setPassword(th.config(c.admin), to))
		th.untilMore(th.production(), 10) // on the sessions that there are
		th.untilRefused(a)
		th.become(th.production(), to)
	},
	"in the Secret first": func(th *theatre, c *cast, a *pod, to login) {
		th.become(th.production(), to)
		th.untilMore(th.production(), 10)
		th.untilRead(a)
		th.untilRefused(a)
		th.do(setPassword(th.config(c.admin), to))
	},
	"to another login": func(th *theatre, c *cast, a *pod, _ login) {
		statement := "CREATE ROLE " + c.newcomer.name + " LOGIN PASSWORD '" + c.newcomer.password + "' IN ROLE " + c.production.name
		th.do(execute(th.config(c.admin), statement))
		th.become(th.production(), c.newcomer)
	},
}

func TestALoginIsChangedUnderLoadAndTheEpochGoesOn(t *testing.T) {
	t.Parallel()
	for name, rotate := range rotations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			th, c := withLogins(t, container.Shared(t))
			pl := th.production()
			a := th.start("a", "active", "--worker.lease=40s")
			th.untilServes(a, pl, "active")
			stop := th.produce(60, 22, pl)
			th.untilMore(pl, 20)
			renewed := c.production.renewed()
			rotate(th, c, a, renewed)
			th.untilRead(a)
			for range 3 { // no session is left that began with the old login
				th.do(pl.terminateAll(t.Context()))
				th.untilMore(pl, 20)
			}
			th.workedBy(pl, pl.login)
			stop()
			th.untilDone(pl)
			th.inOneEpoch(a, pl)
			th.keepsSecrets(c.production, renewed, c.newcomer)
		})
	}
}

// untilRefused ends the workers' sessions until one of a pod's is not let in again.
func (th *theatre) untilRefused(p *pod) {
	th.t.Helper()
	th.do(th.production().terminateAll(th.t.Context()))
	th.until("a session is refused", func(context.Context) bool {
		return strings.Contains(p.process().output(), "password authentication failed")
	})
}

// untilRead waits until the pod's process has read its Secrets again.
func (th *theatre) untilRead(p *pod) {
	th.t.Helper()
	now := time.Now()
	th.until("the Secrets are read", func(ctx context.Context) bool {
		var status struct{ Podinfo reload.Health }
		body, err := p.get(ctx, "/api/status")
		return err == nil && json.Unmarshal(body, &status) == nil && status.Podinfo.ReadAt.After(now)
	})
}

// inOneEpoch sees that a pod has never left its first epoch on a place, that no
// job was lost or charged for it, and that all other promises were kept.
func (th *theatre) inOneEpoch(p *pod, pl *place) {
	th.t.Helper()
	if begun := p.epochs(th.t.Context(), pl); begun != 1 {
		th.t.Errorf("%d epochs on %s, want the one that it was in", begun, pl.target)
	}
	var charged int // of jobs whose handlers need no session and cannot fail
	th.do(pl.pool.QueryRow(th.t.Context(), pl.sql("SELECT count(*) FROM {schema}.jobs WHERE kind IN ('note', 'slow') AND attempt > 1")).Scan(&charged))
	if lost := th.check().Lost; lost+charged != 0 {
		th.t.Errorf("%d jobs were lost with their worker, %d were charged for nothing", lost, charged)
	}
}

func TestAWrongPasswordIsNamedAndMendedWithoutARestart(t *testing.T) {
	t.Parallel()
	th, c := withLogins(t, container.Shared(t))
	pl := th.production()
	a := th.start("a", "active")
	th.untilServes(a, pl, "active")
	stop := th.produce(60, 23, pl)
	th.untilMore(pl, 20)
	typo := c.production.renewed()
	th.become(pl, typo)
	th.untilMore(pl, 60) // on the connections that there are
	from := time.Now()
	th.do(pl.terminateAll(t.Context()))
	th.untilSays(a, "password authentication failed")
	th.until("it is not ready", func(ctx context.Context) bool { return !a.Ready(ctx) })
	th.become(pl, c.production)
	th.untilServes(a, pl, "active")
	pl.broken(history.Interval{From: from, To: time.Now()}, false)
	th.untilMore(pl, 20)
	stop()
	th.untilDone(pl)
	th.check()
	th.keepsSecrets(c.production, typo)
}

func TestAPasswordThatChangedWhileItsPlaceWasNotServedIsUsedWhenItIs(t *testing.T) {
	t.Parallel()
	th, c := withLogins(t, container.Shared(t))
	a := th.start("a", "preview")
	th.untilServes(a, th.preview(), "preview")
	th.enqueue(th.preview(), "effect", 20, 0)
	th.untilDone(th.preview())
	th.do(a.SetRole(t.Context(), "active"))
	th.untilServes(a, th.production(), "active")
	renewed := c.preview.renewed()
	th.do(setPassword(th.config(c.admin), renewed))
	th.become(th.preview(), renewed)
	th.enqueue(th.production(), "effect", 20, 0)
	th.untilDone(th.production())
	th.do(a.SetRole(t.Context(), "preview"))
	th.untilServes(a, th.preview(), "preview")
	th.enqueue(th.preview(), "effect", 20, 0)
	th.untilDone(th.preview())
	th.check()
	th.keepsSecrets(c.preview, renewed, c.production)
}
