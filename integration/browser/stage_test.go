package browser_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/understudy-worker/understudy/internal/kubelet"
	"github.com/understudy-worker/understudy/internal/pause"
	"github.com/understudy-worker/understudy/internal/pgtest"
	"github.com/understudy-worker/understudy/internal/process"
	"github.com/understudy-worker/understudy/store"
)

// stage is a production and a preview schema.
type stage struct {
	t                   *testing.T
	dsn                 string
	production, preview string
	jobs, rehearsals    *store.Store // theirs
}

// newStage makes a stage whose production is migrated.
func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{t: t, dsn: pgtest.DSN(t), production: pgtest.Schema(t), preview: pgtest.Schema(t)}
	pool := pgtest.Pool(t)
	err := store.Migrate(t.Context(), pool.Config().ConnConfig, store.MigrateOptions{Schema: s.production, Log: slog.New(slog.DiscardHandler)})
	s.must(err)
	s.jobs, err = store.New(pool, s.production)
	s.must(err)
	s.rehearsals, err = store.New(pool, s.preview)
	s.must(err)
	return s
}

func (s *stage) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// enqueue puts a job into production.
func (s *stage) enqueue(job store.NewJob) int64 {
	s.t.Helper()
	id, err := s.jobs.Enqueue(s.t.Context(), job)
	s.must(err)
	return id
}

// worker is a worker process with its pod's files.
type worker struct {
	*stage
	labels *kubelet.Volume
	flags  []string
	log    string // its path
	addr   string
	proc   *process.Process
}

// start starts a worker in a role, "" for none, and waits until it serves.
func (s *stage) start(role string, flags ...string) *worker {
	s.t.Helper()
	dir := s.t.TempDir()
	w := &worker{stage: s, labels: kubelet.New(filepath.Join(dir, "podinfo")), flags: flags, log: filepath.Join(dir, "log"), addr: "127.0.0.1:0"}
	w.label(role)
	w.run()
	if role != "" {
		w.said("serving")
	}
	s.t.Cleanup(func() {
		w.end()
		if s.t.Failed() {
			log, _ := os.ReadFile(w.log)
			s.t.Logf("the worker's log:\n%s", log)
		}
	})
	return w
}

// label writes the pod's labels as a kubelet does.
func (w *worker) label(role string) {
	w.t.Helper()
	labels := map[string]string{"app.kubernetes.io/name": "understudy", "rollouts-pod-template-hash": "5f8d6c7b9"}
	if role != "" {
		labels["role"] = role
	}
	w.must(w.labels.Write(map[string]string{"labels": kubelet.Labels(labels)}))
}

// run starts the process, on the address that it had before if it had one.
func (w *worker) run() {
	w.t.Helper()
	log, err := os.OpenFile(w.log, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	w.must(err)
	defer func() { w.must(log.Close()) }()
	args := []string{
		"run", "--podinfo.dir=" + w.labels.Dir(), "--http.addr=" + w.addr,
		"--targets.production.dsn=" + w.dsn, "--targets.production.schema=" + w.production,
		"--targets.preview.dsn=" + w.dsn, "--targets.preview.schema=" + w.preview, "--targets.preview.drain_timeout=1s",
		"--worker.poll_interval=200ms",
	}
	cmd := exec.Command(os.Args[0], append(args, w.flags...)...)
	cmd.Env = append(os.Environ(), programVariable+"=1", "APP_VERSION=1.0", "POD_NAME=worker-5f8d6c7b9-x7k2p")
	cmd.Stdout, cmd.Stderr = log, log
	w.proc, err = process.Start(cmd, syscall.SIGKILL)
	w.must(err)
	w.addr = w.said("listening")
}

// said waits until the worker's log says something, and returns the address that
// it says with it.
func (w *worker) said(what string) string {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	for pause.For(ctx, 20*time.Millisecond) == nil {
		log, err := os.ReadFile(w.log)
		w.must(err)
		for line := range strings.Lines(string(log)) {
			var said struct{ Msg, Addr string }
			if json.Unmarshal([]byte(line), &said) == nil && said.Msg == what {
				return said.Addr
			}
		}
		if w.proc.Ended() {
			w.t.Fatalf("the worker ended: %v\n%s", w.proc.Err(), log)
		}
	}
	w.t.Fatalf("the worker does not say %q", what)
	return ""
}

func (w *worker) url(path string) string { return "http://" + w.addr + path }

// end ends the process in order.
func (w *worker) end() {
	_ = w.proc.Signal(syscall.SIGTERM)
	if !w.proc.Wait(patience) {
		_ = w.proc.SignalGroup(syscall.SIGKILL)
		<-w.proc.Done()
		w.t.Error("the worker did not end after SIGTERM")
	}
}
