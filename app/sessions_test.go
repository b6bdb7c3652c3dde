package app_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// few is a login of the theatre that may have so many sessions, and its DSN.
func (th *theatre) few(sessions int) (login, dsn string) {
	th.t.Helper()
	login = strings.ToLower(fmt.Sprintf("few_%d", time.Now().UnixNano()))
	th.exec("CREATE ROLE " + login + " LOGIN PASSWORD 'secret'")
	th.t.Cleanup(func() { th.exec("DROP OWNED BY " + login + "; DROP ROLE " + login) })
	for _, schema := range []string{th.production, th.ledger} {
		th.exec("GRANT USAGE ON SCHEMA " + quoted(schema) + " TO " + login)
		th.exec("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA " + quoted(schema) + " TO " + login)
		th.exec("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA " + quoted(schema) + " TO " + login)
	}
	th.limit(login, sessions)
	address, err := url.Parse(th.dsn)
	th.do(err)
	address.User = url.UserPassword(login, "secret")
	return login, address.String()
}

func (th *theatre) limit(login string, sessions int) {
	th.t.Helper()
	th.exec(fmt.Sprintf("ALTER ROLE %s CONNECTION LIMIT %d", login, sessions))
}

var listensAt = regexp.MustCompile(`"listening","addr":"([^"]+)"`)

// get asks the pod's HTTP server.
func (p *pod) get(path string) (code int, body string) {
	p.th.t.Helper()
	var addr []string
	p.until("it listens", func() bool { addr = listensAt.FindStringSubmatch(p.log.String()); return addr != nil })
	request, err := http.NewRequestWithContext(p.th.t.Context(), http.MethodGet, "http://"+addr[1]+path, nil)
	p.th.do(err)
	request.Header.Set("Accept", "text/html")
	response, err := http.DefaultClient.Do(request)
	p.th.do(err)
	defer func() { _ = response.Body.Close() }()
	defer http.DefaultClient.CloseIdleConnections()
	data, err := io.ReadAll(response.Body)
	p.th.do(err)
	return response.StatusCode, string(data)
}

// unready waits until the pod is not ready, for a reason that its status tells.
func (p *pod) unready(problem string) {
	p.th.t.Helper()
	p.until("it is not ready, since "+problem, func() bool {
		code, _ := p.get("/health/ready")
		_, body := p.get("/api/status")
		var status struct{ Problem string }
		p.th.do(json.Unmarshal([]byte(body), &status))
		return code == http.StatusServiceUnavailable && strings.Contains(status.Problem, problem)
	})
}

func (p *pod) ready() {
	p.th.t.Helper()
	p.until("it is ready", func() bool { code, _ := p.get("/health/ready"); return code == http.StatusOK })
}

func TestAWorkerBeginsOnceItHasASessionForAllThatItsJobsNeed(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	// Claims, outcomes, lease, listener and handlers: one each.
	login, dsn := th.few(4)
	th.enqueue(th.production, "note", 20, 0)
	p := th.start("a", "active", "--targets.production.dsn="+dsn, "--worker.lease=30s", "--log.format=json")
	p.unready("too many connections for role")
	if n := ask[int](th, "SELECT count(*) FROM {ledger}.ledger"); n != 0 {
		t.Errorf("%d jobs were begun", n)
	}
	th.limit(login, 5)
	th.untilDone(th.production)
	p.ready()
	th.check(20)
}

func TestAWorkerThatLosesItsWayToWriteOutcomesClaimsNothingAndRecovers(t *testing.T) {
	t.Parallel()
	for what, sessions := range map[string]string{"record outcomes": "% outcomes", "have a session for handlers": "understudy"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			th := newTheatre(t)
			login, dsn := th.few(10)
			p := th.start("a", "active", "--targets.production.dsn="+dsn, "--worker.lease=20s", "--log.format=json")
			p.ready()
			th.limit(login, 0)
			th.exec("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = $1 AND application_name LIKE $2", login, sessions)
			p.unready("cannot " + what + " since 20")
			if _, page := p.get("/"); !strings.Contains(page, "cannot "+what+" since") {
				t.Error("the page does not say so")
			}
			th.enqueue(th.production, "note", 20, 0)
			beats := ask[time.Time](th, "SELECT max(heartbeat_at) FROM {production}.workers")
			th.until("the worker has had time to claim", "SELECT max(heartbeat_at) > $1::timestamptz + interval '3 s' FROM {production}.workers", beats)
			if n := ask[int](th, "SELECT count(*) FROM {production}.jobs WHERE state <> 'available'"); n != 0 {
				t.Errorf("%d jobs were claimed", n)
			}
			th.limit(login, 10)
			th.untilDone(th.production)
			p.ready()
			if n := ask[int](th, "SELECT count(*) FROM {production}.jobs WHERE attempt <> 1 OR losses <> 0"); n != 0 {
				t.Errorf("%d jobs were charged or lost", n)
			}
		})
	}
}
