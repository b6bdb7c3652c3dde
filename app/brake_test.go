package app_test

import (
	"testing"

	"github.com/understudy-worker/understudy/internal/pgtest"
)

// waits waits until the pod says why it does not serve, and sees that it serves nothing.
func (p *pod) waits(why string) {
	p.th.t.Helper()
	p.until("it says "+why, func() bool { return p.log.contains(why) })
	p.th.until("it serves nothing", "SELECT NOT EXISTS (SELECT FROM {production}.workers WHERE state = 'serving' AND lease_until > now())")
}

func TestAServerThatSomebodyHasSetReadOnlyIsNotServedUntilThatIsTakenAway(t *testing.T) {
	t.Parallel()
	th := newTheatreOn(t, pgtest.Server(t))
	p := th.start("a", "active")
	p.serves(th.production, "active")
	th.enqueue(th.production, "note", 3, 0)
	th.untilDone(th.production)
	th.enqueue(th.production, "slow", 1, patience) // it runs meanwhile, and is cut short
	th.until("it runs", "SELECT EXISTS (SELECT FROM {production}.jobs WHERE state = 'running')")
	th.exec("ALTER SYSTEM SET default_transaction_read_only = on")
	th.exec("SELECT pg_reload_conf()")
	p.waits("default_transaction_read_only is on, set for the whole server, in its configuration")
	th.exec("ALTER SYSTEM RESET default_transaction_read_only")
	th.exec("SELECT pg_reload_conf()")
	p.serves(th.production, "active")
	p.until("the job runs again", func() bool {
		return ask[bool](th, "SELECT EXISTS (SELECT FROM {production}.jobs WHERE state = 'running' AND attempt = 1)")
	})
}

func TestWhatHidesRowsOrNamesAnotherSchemaIsFoundBeforeTheFirstClaim(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	th.enqueue(th.production, "note", 3, 0)
	table := quoted(th.production) + ".ready"
	th.exec("CREATE RULE keep AS ON DELETE TO " + table + " DO INSTEAD NOTHING")
	th.exec("ALTER FUNCTION " + quoted(th.production) + ".prune SET search_path = elsewhere, pg_temp")
	p := th.start("a", "active")
	p.waits(`its functions act on schema \"elsewhere\"`)
	p.waits("run: understudy migrate up --target production")
	th.exec("ALTER FUNCTION " + quoted(th.production) + ".prune SET search_path = " + quoted(th.production) + ", pg_temp")
	p.waits("rule keep on table ready")
	if touched := ask[int](th, "SELECT count(*) FROM {production}.jobs WHERE state = 'available'"); touched != 3 {
		t.Errorf("%d of 3 jobs still wait", touched)
	}
	th.exec("DROP RULE keep ON " + table)
	th.untilDone(th.production)
	th.check(3)
}

func TestACommandRefusesASchemaWhoseFunctionsActOnAnother(t *testing.T) {
	t.Parallel()
	s := migratedShell(t)
	s.ok("enqueue", "mail")
	shop := pgtest.Schema(t)
	s.exec("ALTER SCHEMA {production} RENAME TO " + quoted(shop))
	s.ok("migrate", "up") // another, of the name of before
	there := "--targets.production.schema=" + shop
	for _, args := range [][]string{{"enqueue", "mail"}, {"jobs", "list"}, {"jobs", "cancel", "1"}, {"jobs", "retry", "1"}, {"workers"}} {
		s.fails(1, []string{shop, s.production, "run: understudy migrate up --target production --schema " + shop}, append(args, there)...)
	}
	page := s.tester(there)
	if code, body := page.ask("POST", "/enqueue", map[string][]string{"side": {"production"}, "kind": {"mail"}}); code < 400 {
		t.Errorf("the tester answers %d %s", code, body)
	}
	if status := parsed[struct {
		Target, Schema string
		Exists, Serves bool
		BoundTo        string `json:"bound_to"`
		Series         []struct {
			Name, State     string
			Version, Needed int
		}
	}](s, "migrate", "status", there); status.Serves || status.BoundTo != s.production || status.Series[0].State != "renamed" {
		t.Errorf("its status is %+v", status)
	}
	if out := s.ok("migrate", "up", there); out == "" {
		t.Error("migrate up says nothing")
	}
	s.ok("enqueue", "mail", there)
	if n := len(s.jobs(there)); n != 2 {
		t.Errorf("schema %s has %d jobs, want 2", shop, n)
	}
	if n := len(s.jobs()); n != 0 {
		t.Errorf("schema %s has %d jobs, want none", s.production, n)
	}
}

func TestACommandThatMayNotWriteSaysWhoSetThat(t *testing.T) {
	t.Parallel()
	s := migratedShell(t)
	s.environ = append(s.environ, "UNDERSTUDY_TARGETS__PRODUCTION__DSN="+withParameter(s.dsn, "default_transaction_read_only", "on"))
	s.fails(1, []string{"default_transaction_read_only is on, set by the DSN"}, "enqueue", "mail")
	s.ok("jobs", "list") // to look is allowed
}

func TestACommandNamesADatabaseThatCannotHoldEveryText(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	s.environ = []string{"UNDERSTUDY_TARGETS__PRODUCTION__DSN=" + pgtest.DatabaseIn(t, "SQL_ASCII")}
	for _, command := range []string{"up", "status"} {
		s.fails(1, []string{"has the encoding SQL_ASCII", "ENCODING 'UTF8'"}, "migrate", command)
	}
}
