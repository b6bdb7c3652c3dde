package app_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-worker/understudy/internal/kubelet"
	"github.com/understudy-worker/understudy/internal/pgserver"
	"github.com/understudy-worker/understudy/internal/pgtest"
	"github.com/understudy-worker/understudy/store"
)

// patience bounds every wait of these tests.
const patience = 2 * time.Minute

// theatre is a production and a preview schema with a ledger beside them, and
// the pods that play on them.
type theatre struct {
	t                           *testing.T
	dsn                         string
	pool                        *pgxpool.Pool
	production, preview, ledger string
}

// newTheatre makes a theatre whose production is migrated.
func newTheatre(t *testing.T) *theatre {
	t.Helper()
	th := &theatre{
		t: t, dsn: pgtest.DSN(t), pool: pgtest.Pool(t),
		production: pgtest.Schema(t), preview: pgtest.Schema(t), ledger: pgtest.Schema(t),
	}
	th.build()
	return th
}

// newTheatreOn makes a theatre on a server of the test's own.
func newTheatreOn(t *testing.T, server *pgserver.Server) *theatre {
	t.Helper()
	th := &theatre{t: t, dsn: server.DSN("postgres"), production: "theatre_production", preview: "theatre_preview", ledger: "theatre_ledger"}
	th.look(th.dsn)
	th.build()
	return th
}

// look lets the test itself, and no pod, look at another server from now on.
func (th *theatre) look(dsn string) {
	th.t.Helper()
	pool, err := pgxpool.New(context.Background(), dsn)
	if err != nil {
		th.t.Fatal(err)
	}
	th.t.Cleanup(pool.Close)
	th.pool = pool
}

func (th *theatre) build() {
	th.t.Helper()
	th.exec("CREATE SCHEMA " + quoted(th.ledger))
	th.exec("SET search_path = " + quoted(th.ledger) + ";" + ledgerTables + "; RESET search_path")
	th.migrate(th.production)
}

func quoted(name string) string { return pgx.Identifier{name}.Sanitize() }

func (th *theatre) exec(sql string, args ...any) {
	th.t.Helper()
	if _, err := th.pool.Exec(context.Background(), sql, args...); err != nil {
		th.t.Fatal(err)
	}
}

func (th *theatre) migrate(schema string) {
	th.t.Helper()
	err := store.Migrate(context.Background(), th.pool.Config().ConnConfig, store.MigrateOptions{Schema: schema, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		th.t.Fatal(err)
	}
}

// enqueue puts n jobs that take a while into a schema.
func (th *theatre) enqueue(schema, kind string, n int, takes time.Duration) []int64 {
	th.t.Helper()
	s, err := store.New(th.pool, schema)
	if err != nil {
		th.t.Fatal(err)
	}
	jobs := make([]store.NewJob, n)
	for i := range jobs {
		jobs[i] = store.NewJob{Kind: kind, Args: map[string]int64{"MS": takes.Milliseconds()}}
	}
	ids, err := s.EnqueueMany(context.Background(), jobs)
	if err != nil {
		th.t.Fatal(err)
	}
	return ids
}

// ask returns one value; {ledger} in the query is the ledger's schema.
func ask[T any](th *theatre, sql string, args ...any) (value T) {
	th.t.Helper()
	sql = strings.NewReplacer("{ledger}", quoted(th.ledger), "{production}", quoted(th.production), "{preview}", quoted(th.preview)).Replace(sql)
	if err := th.pool.QueryRow(context.Background(), sql, args...).Scan(&value); err != nil {
		th.t.Fatalf("%s: %v", sql, err)
	}
	return value
}

// until waits for a query to say true.
func (th *theatre) until(what, sql string, args ...any) {
	th.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if ask[bool](th, sql, args...) {
			return
		}
		if time.Now().After(deadline) {
			th.t.Fatalf("waited in vain until %s", what)
		}
	}
}

// untilDone waits until no job of the schema is unfinished.
func (th *theatre) untilDone(schema string) {
	th.t.Helper()
	th.until("every job of "+schema+" is finished", "SELECT NOT EXISTS (SELECT FROM "+quoted(schema)+".open_jobs)")
}

// slack is how long after a change of the labels a claim may still be made:
// the time that a read takes, on a busy machine.
const slack = 5 * time.Second

// shortLease is for a worker that is lost on purpose. The others' lease is one that
// a busy machine does not miss.
const shortLease = "--worker.lease=5s"

// check proves from the ledger and the stamps of the label writer that no
// attempt began outside its pod's role, and from the rows that nothing is lost.
func (th *theatre) check(enqueued int) {
	th.t.Helper()
	stray := ask[int](th, `
		SELECT count(*) FROM {ledger}.ledger l
		WHERE NOT EXISTS (
			SELECT FROM {ledger}.roles r
			WHERE r.pod = l.pod AND r.role = CASE l.schema WHEN $1 THEN 'active' ELSE 'preview' END
			  AND l.claimed_at >= r.from_at AND l.claimed_at <= coalesce(r.to_at, 'infinity') + $2::interval)`, th.production, slack)
	if stray != 0 {
		th.t.Errorf("%d attempts were claimed outside their pod's role", stray)
	}
	for _, schema := range []string{th.production, th.preview} {
		if ask[bool](th, "SELECT to_regclass($1) IS NULL", quoted(schema)+".jobs") {
			continue
		}
		odd := ask[int](th, "SELECT count(*) FROM "+quoted(schema)+`.jobs j WHERE state = 'completed'
			AND NOT EXISTS (SELECT FROM {ledger}.ledger l WHERE l.schema = $1 AND l.job_id = j.id)`, schema)
		if odd != 0 {
			th.t.Errorf("%d jobs of %s are completed and no handler worked them", odd, schema)
		}
	}
	if worked := ask[int](th, "SELECT count(DISTINCT (schema, job_id)) FROM {ledger}.ledger"); worked != enqueued {
		th.t.Errorf("%d jobs were worked, %d enqueued", worked, enqueued)
	}
	th.checkEffects()
}

// checkEffects proves that no effect was made twice, and none for an unfinished job.
func (th *theatre) checkEffects() {
	th.t.Helper()
	if twice := ask[int](th, "SELECT count(*) FROM (SELECT FROM {ledger}.effects GROUP BY schema, job_id HAVING count(*) > 1) e"); twice != 0 {
		th.t.Errorf("%d effects were made twice", twice)
	}
}

// pod is one worker process with its pod files.
type pod struct {
	th         *theatre
	name       string
	volume     *kubelet.Volume
	cmd        *exec.Cmd
	env        []string // further variables
	namespaces uintptr  // that its process has of its own, as CLONE_NEWPID
	ended      chan struct{}
	log        *output
}

// application is the application_name of the pod's sessions on a target.
func (p *pod) application(target string) string { return p.name + "-" + target }

// hire makes a pod's files without starting its process.
func (th *theatre) hire(name string) *pod {
	return &pod{
		th: th, name: th.production[len(th.production)-8:] + "-" + name, ended: make(chan struct{}), log: &output{},
		volume: kubelet.New(filepath.Join(th.t.TempDir(), name)),
	}
}

// start starts a pod in a role ("" for none); more flags win over the usual ones.
func (th *theatre) start(name, role string, flags ...string) *pod {
	th.t.Helper()
	p := th.hire(name)
	p.role(role)
	p.start(flags...)
	return p
}

// role writes the label as a kubelet would, and stamps the change by the
// database's clock: the old role lasts until the write is over, the new one
// begins before it.
func (p *pod) role(role string) {
	p.th.t.Helper()
	before := ask[time.Time](p.th, "SELECT clock_timestamp()")
	labels := map[string]string{"app": "worker", "rollouts-pod-template-hash": "abc123"}
	if role != "" {
		labels["role"] = role
	}
	if err := p.volume.Write(map[string]string{"labels": kubelet.Labels(labels)}); err != nil {
		p.th.t.Fatal(err)
	}
	table := quoted(p.th.ledger) + ".roles"
	p.th.exec("UPDATE "+table+" SET to_at = clock_timestamp() WHERE pod = $1 AND to_at IS NULL", p.name)
	p.th.exec("INSERT INTO "+table+" (pod, role, from_at) VALUES ($1, $2, $3)", p.name, role, before)
}

func (p *pod) start(flags ...string) {
	p.th.t.Helper()
	program, err := os.Executable()
	if err != nil {
		p.th.t.Fatal(err)
	}
	usual := []string{
		"run", "--podinfo.dir=" + p.volume.Dir(), "--http.addr=127.0.0.1:0",
		"--targets.production.dsn=" + withApplication(p.th.dsn, p.application("production")), "--targets.production.schema=" + p.th.production,
		"--targets.preview.dsn=" + withApplication(p.th.dsn, p.application("preview")), "--targets.preview.schema=" + p.th.preview,
		"--worker.lease=30s", "--worker.poll_interval=200ms", "--targets.production.drain_timeout=2s", "--targets.preview.drain_timeout=2s",
	}
	p.cmd = exec.Command(program, append(usual, flags...)...)
	p.cmd.Env = append(os.Environ(), programVariable+"=1", ledgerVariable+"="+p.th.ledger, podVariable+"="+p.name, "POD_NAME="+p.name)
	p.cmd.Env = append(p.cmd.Env, p.env...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.isolate()
	if err := p.cmd.Start(); err != nil {
		p.th.t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // its exit code is in ProcessState
		close(p.ended)
	}()
	p.th.t.Cleanup(func() {
		p.kill()
		if p.th.t.Failed() {
			p.th.t.Logf("log of %s:\n%s", p.name, p.log)
		}
	})
}

func withApplication(dsn, name string) string {
	separator := "?"
	if strings.Contains(dsn, "?") {
		separator = "&"
	}
	return dsn + separator + "application_name=" + name
}

func (p *pod) signal(signal syscall.Signal) {
	p.th.t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		p.th.t.Fatalf("signal %s to %s: %v\n%s", signal, p.name, err, p.log)
	}
}

// kill ends the process as a node that fails would.
func (p *pod) kill() {
	_ = p.cmd.Process.Signal(syscall.SIGCONT)
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

// exit waits for the process to end by itself and returns its exit code.
func (p *pod) exit() int {
	p.th.t.Helper()
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		p.th.t.Fatalf("%s did not end:\n%s", p.name, p.log)
		return -1
	}
}

// serves waits until the pod has a live epoch in the role on the schema.
func (p *pod) serves(schema, role string) {
	p.th.t.Helper()
	p.until("it serves "+schema+" as "+role, func() bool {
		var live bool
		// An error means that the schema is not there, or not any more.
		err := p.th.pool.QueryRow(context.Background(), "SELECT EXISTS (SELECT FROM "+quoted(schema)+
			".workers WHERE pod = $1 AND role = $2 AND state = 'serving' AND lease_until > now())", p.name, role).Scan(&live)
		return err == nil && live
	})
}

// noSessions waits until the pod has no session on a target.
func (p *pod) noSessions(target string) {
	p.th.t.Helper()
	p.th.until("no session of "+target+" is left", "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name LIKE $1 || '%')", p.application(target))
}

func (p *pod) until(what string, holds func() bool) {
	p.th.t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(10 * time.Millisecond) {
		select {
		case <-p.ended:
			p.th.t.Fatalf("%s ended while waiting until %s:\n%s", p.name, what, p.log)
		default:
		}
		if time.Now().After(deadline) {
			p.th.t.Fatalf("%s: waited in vain until %s", p.name, what)
		}
	}
}

// output keeps what a process prints.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(data []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(data)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func (o *output) contains(text string) bool { return strings.Contains(o.String(), text) }
