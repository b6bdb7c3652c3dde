package integration_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/understudy-worker/understudy/integration/internal/container"
	"github.com/understudy-worker/understudy/integration/internal/history"
	"github.com/understudy-worker/understudy/internal/pause"
	"github.com/understudy-worker/understudy/store"
)

const (
	// patience bounds every wait of these tests.
	patience = 3 * time.Minute
	// lease is the workers' lease where some are lost on purpose: short, so that
	// one that is gone is missed soon, and long enough for a busy machine to renew it.
	lease = 9 * time.Second
	// patientLease is not missed when the machine is busy: a worker whose lease
	// is late says so in its log.
	patientLease = 30 * time.Second
	// answerTime is how long a process may take to answer over HTTP.
	answerTime = 10 * time.Second
)

// keepVariable names a directory to which a test that fails copies the logs
// and ledgers of its workers.
const keepVariable = "UNDERSTUDY_TEST_KEEP"

// theatre is a production and a preview place, and the pods that play on them.
type theatre struct {
	t       *testing.T
	dir     string
	program string
	places  map[string]*place // by target
	more    []*place          // those that only some pods' targets are
	probes  *http.Client
	lag     time.Duration  // the longest that a kubelet takes to write a label
	lease   time.Duration  // of the pods' workers
	tasks   sync.WaitGroup // the processes' ends

	mu   sync.Mutex
	pods []*pod
}

func (th *theatre) production() *place { return th.places["production"] }
func (th *theatre) preview() *place    { return th.places["preview"] }

// onOneServer is a theatre of two schemas in one database of a server that
// other tests use too.
func onOneServer(t *testing.T) *theatre {
	t.Helper()
	server := container.Shared(t)
	return newTheatre(t, server, server)
}

// newTheatre is a theatre with its places on these servers, whose production
// is migrated.
func newTheatre(t *testing.T, production, preview *container.Postgres) *theatre {
	t.Helper()
	th := emptyTheatre(t, production, preview)
	th.migrate(th.production())
	return th
}

// emptyTheatre is a theatre whose databases hold nothing yet.
func emptyTheatre(t *testing.T, production, preview *container.Postgres) *theatre {
	t.Helper()
	th := &theatre{
		t: t, dir: t.TempDir(), program: ledgerWorker(t), places: map[string]*place{}, lease: lease,
		probes: &http.Client{Timeout: answerTime, Transport: &http.Transport{DisableKeepAlives: true}},
	}
	database := production.Database(t)
	th.places["production"] = newPlace(t, "production", production, database)
	if preview != production {
		database = preview.Database(t)
	}
	th.places["preview"] = newPlace(t, "preview", preview, database)
	ctx, stop := context.WithCancel(context.Background())
	for _, pl := range th.places {
		th.tasks.Go(func() { pl.watch(ctx) })
	}
	t.Cleanup(th.close)
	t.Cleanup(stop)
	return th
}

// close ends the processes and shows the ends of their logs if the test failed.
func (th *theatre) close() {
	for _, w := range th.workers() {
		w.kill()
	}
	th.tasks.Wait()
	if dir := os.Getenv(keepVariable); dir != "" && th.t.Failed() {
		kept := filepath.Join(dir, th.t.Name())
		th.do(errors.Join(os.RemoveAll(kept), os.CopyFS(kept, os.DirFS(th.dir))))
	}
	for _, w := range th.workers() {
		for _, crash := range w.crashes() {
			th.t.Errorf("%s: %s", w.pod.name, crash)
		}
		if th.t.Failed() {
			th.t.Logf("log of process %d of %s:\n%s", w.life.N, w.pod.name, w.tail())
		}
	}
}

// workers are all processes that there have been.
func (th *theatre) workers() (all []*worker) {
	for _, p := range th.all() {
		p.mu.Lock()
		all = append(all, p.processes...)
		p.mu.Unlock()
	}
	return all
}

// all are all pods that there have been.
func (th *theatre) all() []*pod {
	th.mu.Lock()
	defer th.mu.Unlock()
	return slices.Clone(th.pods)
}

// do ends the test on an error.
func (th *theatre) do(err error) {
	th.t.Helper()
	if err != nil {
		th.t.Fatal(err)
	}
}

// migrate migrates a place with the program itself.
func (th *theatre) migrate(pl *place) {
	th.t.Helper()
	th.do(th.command("migrate", "up", "--target="+pl.target))
}

// command runs a command of the program with the administrator's DSNs.
func (th *theatre) command(args ...string) error {
	_, err := th.commandBy(func(pl *place) string { return pl.server.DSN(pl.database) }, args...)
	return err
}

// commandBy runs a command of the program with these DSNs, and returns what it
// prints.
func (th *theatre) commandBy(dsn func(pl *place) string, args ...string) (string, error) {
	for target, pl := range th.places {
		args = append(args, "--targets."+target+".dsn="+dsn(pl), "--targets."+target+".schema="+pl.schema)
	}
	out, err := exec.Command(th.program, args...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %s", args[0], args[1], err, out)
	}
	return string(out), err
}

// start starts a pod of version 1.0 in a role, "" for none.
func (th *theatre) start(name, role string, flags ...string) *pod {
	th.t.Helper()
	return th.startProgram(th.program, name, role, flags...)
}

// startProgram starts a pod like start, of a program that may be another.
func (th *theatre) startProgram(program, name, role string, flags ...string) *pod {
	th.t.Helper()
	p, err := th.newPod(name, "1.0", "4q7dmmmfq9", flags...)
	th.do(err)
	p.program = program
	th.do(p.SetRole(th.t.Context(), role))
	th.do(p.start())
	return p
}

// kubeletLag waits as long as a kubelet takes to write a label.
func (th *theatre) kubeletLag(ctx context.Context) error {
	if th.lag == 0 {
		return nil
	}
	return pause.For(ctx, rand.N(th.lag))
}

// until waits until something holds.
func (th *theatre) until(what string, holds func(ctx context.Context) bool) {
	th.t.Helper()
	for deadline := time.Now().Add(patience); !holds(th.t.Context()); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			th.t.Fatalf("waited in vain until %s", what)
		}
	}
}

// untilServes waits until a pod serves a place in a role.
func (th *theatre) untilServes(p *pod, pl *place, role string) {
	th.t.Helper()
	th.until(fmt.Sprintf("%s serves %s as %s", p.name, pl.target, role), func(ctx context.Context) bool { return p.serves(ctx, pl, role) })
}

// untilDone waits until no job of a place is unfinished.
func (th *theatre) untilDone(pl *place) {
	th.t.Helper()
	th.until("every job of "+pl.target+" is finished", func(ctx context.Context) bool {
		open, err := pl.unfinished(ctx)
		return err == nil && open == 0
	})
}

// untilSQL waits until a query on a place says true.
func (th *theatre) untilSQL(pl *place, what, sql string, args ...any) {
	th.t.Helper()
	th.until(what, func(ctx context.Context) bool {
		var holds bool
		err := pl.pool.QueryRow(ctx, pl.sql(sql), args...).Scan(&holds)
		return err == nil && holds
	})
}

// enqueue puts n jobs of a kind that take so long into a place.
func (th *theatre) enqueue(pl *place, kind string, n int, takes time.Duration) {
	th.t.Helper()
	jobs := make([]store.NewJob, n)
	for i := range jobs {
		jobs[i] = store.NewJob{Kind: kind, Args: map[string]any{"MS": takes.Milliseconds(), "Times": 1}}
	}
	th.do(pl.enqueue(th.t.Context(), jobs...))
}

// check ends the pods and proves that all promises were kept.
func (th *theatre) check() *history.Verdict {
	th.t.Helper()
	for _, pl := range th.everywhere() {
		th.settle(pl)
	}
	var ends sync.WaitGroup
	for _, p := range th.all() {
		ends.Go(p.end)
	}
	ends.Wait()
	record, err := th.record(context.WithoutCancel(th.t.Context()))
	th.do(err)
	verdict := record.Check()
	for _, violation := range verdict.Violations {
		th.t.Errorf("violation: %s", violation)
	}
	return verdict
}

// settle waits until every epoch of a place has been renewed or is over: one
// whose process is gone takes a lease to be found lost. It does not wait for
// ever, since that is not sure where nobody works any more: the verdict says.
func (th *theatre) settle(pl *place) {
	th.t.Helper()
	ctx, cancel := context.WithTimeout(th.t.Context(), 4*th.lease)
	defer cancel()
	if exists, err := pl.exists(ctx); err != nil || !exists {
		return
	}
	var since time.Time
	th.do(pl.pool.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&since))
	const unsettled = "SELECT EXISTS (SELECT FROM {schema}.workers WHERE state IN ('serving', 'draining') AND heartbeat_at < $1)"
	for waits := true; waits && pause.For(ctx, 50*time.Millisecond) == nil; {
		if err := pl.pool.QueryRow(ctx, pl.sql(unsettled), since).Scan(&waits); err != nil && ctx.Err() == nil {
			th.t.Fatal(err)
		}
	}
}

// record is all that is known of the run.
func (th *theatre) record(ctx context.Context) (*history.Record, error) {
	r := &history.Record{EffectKinds: map[string]bool{"effect": true}}
	for _, pl := range th.everywhere() {
		p, err := pl.record(ctx)
		if err != nil {
			return nil, err
		}
		r.Places = append(r.Places, *p)
	}
	for _, p := range th.all() {
		p.mu.Lock()
		r.Stints = append(r.Stints, p.stints...)
		p.mu.Unlock()
	}
	var err error
	for _, w := range th.workers() {
		<-w.ended
		runs, readErr := history.Read(w.ledger)
		if !errors.Is(readErr, fs.ErrNotExist) { // a process without an epoch makes none
			err = errors.Join(err, readErr)
		}
		r.Runs = append(r.Runs, runs...)
		r.Processes = append(r.Processes, w.record())
	}
	return r, err
}

// everywhere is all places.
func (th *theatre) everywhere() []*place {
	all := slices.Clone(th.more)
	for _, target := range slices.Sorted(maps.Keys(th.places)) {
		all = append(all, th.places[target])
	}
	return all
}

// replaceSchema puts the quoted schema for {schema}.
func replaceSchema(text, quoted string) string { return strings.ReplaceAll(text, "{schema}", quoted) }

// rows sums up all that a place says of jobs and effects.
func (th *theatre) rows(pl *place) (sum string) {
	th.t.Helper()
	sql := pl.sql(`SELECT concat((SELECT md5(string_agg(j::text, ',' ORDER BY id)) FROM {schema}.jobs j), ' ',
		(SELECT count(*) FROM {schema}.effects), ' effects')`)
	th.do(pl.pool.QueryRow(th.t.Context(), sql).Scan(&sum))
	return sum
}

// finished counts the jobs of a place that are finished; -1 when it cannot be known.
func (pl *place) finished(ctx context.Context) (count int) {
	if err := pl.pool.QueryRow(ctx, pl.sql("SELECT count(*) FROM {schema}.finished_jobs")).Scan(&count); err != nil {
		return -1
	}
	return count
}

// untilMore waits until so many more jobs of a place are finished.
func (th *theatre) untilMore(pl *place, more int) {
	th.t.Helper()
	const unknown = -1
	first := unknown
	th.until(fmt.Sprintf("%d more jobs of %s are finished", more, pl.target), func(ctx context.Context) bool {
		now := pl.finished(ctx)
		if first == unknown {
			first = now
		}
		return first != unknown && now >= first+more
	})
}
