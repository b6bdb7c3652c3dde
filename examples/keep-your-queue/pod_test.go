package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/understudy-worker/understudy/internal/kubelet"
	"github.com/understudy-worker/understudy/internal/pgtest"
)

// patience bounds every wait of these tests.
const patience = 30 * time.Second

// pod is one run of the program, its pod directory, and the database that it
// works in, whose schemas are called production and preview.
type pod struct {
	t      *testing.T
	dsn    string
	pool   *pgxpool.Pool
	volume *kubelet.Volume
	log    output
	cancel context.CancelFunc
	ended  chan error
}

func newPod(t *testing.T) *pod {
	t.Helper()
	dsn := pgtest.Database(t)
	pool, err := pgxpool.New(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return &pod{t: t, dsn: dsn, pool: pool, volume: kubelet.New(filepath.Join(t.TempDir(), "podinfo"))}
}

// start runs the program in a role ("" for none).
func (p *pod) start(role string, flags ...string) {
	p.t.Helper()
	p.role(role)
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel, p.ended = cancel, make(chan error, 1)
	args := append([]string{"--podinfo.dir=" + p.volume.Dir(), "--queues.default.concurrency=5",
		"--targets.production.dsn=" + p.dsn, "--targets.preview.dsn=" + p.dsn}, flags...)
	go func() { p.ended <- run(ctx, args, nil, &p.log) }()
	p.t.Cleanup(p.stop)
}

// stop ends the program as SIGTERM does.
func (p *pod) stop() {
	if p.ended == nil {
		return
	}
	p.cancel()
	if err := <-p.ended; err != nil {
		p.t.Errorf("run: %v", err)
	}
	p.ended = nil
	if p.t.Failed() {
		p.t.Logf("the program's log:\n%s", &p.log)
	}
}

// role writes the pod's labels as a kubelet does.
func (p *pod) role(role string) {
	p.t.Helper()
	labels := map[string]string{"app": "post"}
	if role != "" {
		labels["role"] = role
	}
	if err := p.volume.Write(map[string]string{"labels": kubelet.Labels(labels)}); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pod) migrate(schemas ...string) {
	p.t.Helper()
	for _, schema := range schemas {
		if err := migrate(p.t.Context(), p.pool, schema, slog.New(slog.DiscardHandler)); err != nil {
			p.t.Fatal(err)
		}
	}
}

// write enqueues n letters that take a while each.
func (p *pod) write(schema string, n int, takes time.Duration) {
	p.t.Helper()
	client, err := river.NewClient(riverpgxv5.New(p.pool), &river.Config{Schema: schema})
	if err != nil {
		p.t.Fatal(err)
	}
	letters := make([]river.InsertManyParams, n)
	for i := range letters {
		letters[i].Args = Letter{To: fmt.Sprint("reader ", i), Takes: takes}
	}
	if _, err := client.InsertMany(p.t.Context(), letters); err != nil {
		p.t.Fatal(err)
	}
}

// count asks for a number.
func (p *pod) count(sql string) (n int) {
	p.t.Helper()
	if err := p.pool.QueryRow(p.t.Context(), sql).Scan(&n); err != nil {
		p.t.Fatalf("%s: %v", sql, err)
	}
	return n
}

// until waits until something holds.
func (p *pod) until(what string, holds func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			p.t.Fatalf("waited in vain until %s; the program's log:\n%s", what, &p.log)
		}
	}
}

// sent waits until a schema's letters are as many.
func (p *pod) sent(schema string, want int) {
	p.t.Helper()
	p.until(fmt.Sprintf("%d letters of %s are sent", want, schema), func() bool {
		return p.count("SELECT count(*) FROM "+schema+".letters") >= want
	})
}

// output is a log that a test may read while it is written.
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

func (o *output) count(text string) int { return strings.Count(o.String(), text) }
