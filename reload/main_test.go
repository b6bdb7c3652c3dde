package reload

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/understudy-worker/understudy/internal/kubelet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come. Nothing takes it but
// a failure.
const patience = 20 * time.Second

const dsns = "targets: {production: {dsn: 'postgres://app:production-pass@db/x'}, preview: {dsn: 'postgres://app:preview-pass@db/x'}}\n"

var discard = slog.New(slog.DiscardHandler)

// writeFile writes a file in one step, as a mounted file changes.
func writeFile(t testing.TB, path, content string) string {
	t.Helper()
	tmp := filepath.Join(t.TempDir(), "new")
	if err := os.WriteFile(tmp, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(tmp, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// load loads a YAML text and variables.
func load(t testing.TB, yaml string, environ ...string) Config {
	t.Helper()
	cfg, err := Load(Source{File: writeFile(t, filepath.Join(t.TempDir(), "understudy.yaml"), yaml), Environ: environ})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// volume is a pod directory with these labels, and the configuration for it.
func volume(t testing.TB, labels map[string]string) (*kubelet.Volume, Config) {
	t.Helper()
	v := kubelet.New(filepath.Join(t.TempDir(), "podinfo"))
	setLabels(t, v, labels)
	cfg := load(t, dsns)
	cfg.Podinfo.Dir = v.Dir()
	return v, cfg
}

func setLabels(t testing.TB, v *kubelet.Volume, labels map[string]string) {
	t.Helper()
	if err := v.Write(map[string]string{labelsFile: kubelet.Labels(labels)}); err != nil {
		t.Fatal(err)
	}
}

func role(name string) map[string]string { return map[string]string{"role": name, "app": "worker"} }

// watcher makes a Watcher that reads only when it is told to, so that a test
// of events cannot pass by waiting for the backstop.
func watcher(t testing.TB, cfg Config) *Watcher {
	t.Helper()
	w, err := NewWatcher(cfg, discard)
	if err != nil {
		t.Fatal(err)
	}
	w.backstop = time.Hour
	return w
}

// run runs a Watcher until the test ends or stop is called.
func run(t testing.TB, w *Watcher) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil when its context ends", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

// next is the next snapshot.
func next(t testing.TB, w *Watcher) Snapshot {
	t.Helper()
	select {
	case s := <-w.Snapshots():
		return s
	case <-time.After(patience):
		t.Fatalf("no snapshot came; health: %+v", w.Health())
		return Snapshot{}
	}
}

// await takes snapshots until one is as wanted.
func await(t testing.TB, w *Watcher, what string, wanted func(Snapshot) bool) Snapshot {
	t.Helper()
	deadline := time.After(patience)
	var last Snapshot
	for {
		select {
		case last = <-w.Snapshots():
			if wanted(last) {
				return last
			}
		case <-deadline:
			t.Fatalf("no snapshot with %s; last: %+v; health: %+v", what, last, w.Health())
		}
	}
}

// eventually polls until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}
