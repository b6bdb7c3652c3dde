package demo

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-worker/understudy/internal/kubelet"
	"github.com/understudy-worker/understudy/internal/rollout"
	"github.com/understudy-worker/understudy/reload"
)

func TestTheAddressIsFoundInALogThatComesInPieces(t *testing.T) {
	t.Parallel()
	log, err := newWorkerLog(filepath.Join(t.TempDir(), "worker.log"))
	if err != nil {
		t.Fatal(err)
	}
	text := "panic\n{\"msg\":\"start\",\"addr\":\"no\"}\n{\"level\":\"INFO\",\"msg\":\"listening\",\"addr\":\"127.0.0.1:4711\"}\nrest"
	for i := range len(text) {
		if _, err := log.Write([]byte(text[i : i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if got := log.address(); got != "127.0.0.1:4711" {
		t.Errorf("address %q", got)
	}
	if got := strings.Count(log.last(), "\n"); got != 2 {
		t.Errorf("%d line breaks in the last lines, want those of three lines:\n%s", got, log.last())
	}
	if log.forget(); log.address() != "" {
		t.Errorf("address %q after it was forgotten", log.address())
	}
	if err := log.close(); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(log.path); err != nil || string(data) != text {
		t.Errorf("file %q, error %v", data, err)
	}
}

func TestALogsEndIsShort(t *testing.T) {
	t.Parallel()
	log, err := newWorkerLog(filepath.Join(t.TempDir(), "worker.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.close() }()
	if _, err := log.Write([]byte(strings.Repeat("a line\n", 10*tailLines))); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(log.last(), "\n") + 1; got != tailLines {
		t.Errorf("%d lines, want %d", got, tailLines)
	}
}

func TestAPodsFilesAreThoseOfAKubelet(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := &pod{revision: &rollout.Revision{Version: "2.0", Hash: "4q7dmmmfq9"}, volume: kubelet.New(dir), cluster: &cluster{}}
	for role, want := range map[string]map[string]string{
		rollout.RoleActive: {
			"app.kubernetes.io/name": "understudy", "app.kubernetes.io/version": "2.0",
			"role": "active", "rollouts-pod-template-hash": "4q7dmmmfq9",
		},
		rollout.RoleNone: {
			"app.kubernetes.io/name": "understudy", "app.kubernetes.io/version": "2.0",
			"rollouts-pod-template-hash": "4q7dmmmfq9",
		},
	} {
		if err := p.write(role); err != nil {
			t.Fatal(err)
		}
		read, err := reload.ReadPod(dir)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, read.Labels); diff != "" {
			t.Errorf("labels %s (-want +got):\n%s", shownRole(role), diff)
		}
	}
}

func TestTheWorkersConfigurationIsGood(t *testing.T) {
	t.Parallel()
	s := &story{dir: t.TempDir(), options: Options{Environ: []string{"UNDERSTUDY_TYPO=1", "APP_VERSION=9", "HOME=/"}}}
	file := s.path("config.yaml")
	if err := os.WriteFile(file, []byte(workerConfig(s.path("dsn"), "production", "preview_{rollouts-pod-template-hash}")), 0o600); err != nil {
		t.Fatal(err)
	}
	config, err := reload.Load(reload.Source{File: file, Environ: s.environ()})
	if err != nil {
		t.Fatal(err)
	}
	if got := config.Worker.Lease; got != lease {
		t.Errorf("lease %s, want %s", got, lease)
	}
	for name, schema := range map[string]string{"production": "production", "preview": "preview_{rollouts-pod-template-hash}"} {
		if got := config.Targets[name]; got.Schema != schema || got.DSNFile != s.path("dsn") || got.DrainTimeout != drainTimeout {
			t.Errorf("target %s: schema %q, DSN file %q, drain timeout %s", name, got.Schema, got.DSNFile, got.DrainTimeout)
		}
	}
}

func TestWrongOptionsAreWrongUsage(t *testing.T) {
	t.Parallel()
	secret := "hunter2"
	for want, o := range map[string]Options{
		"--dsn cannot be parsed: use postgres://":     {DSN: "postgres://me:" + secret + "@host:port/db"},
		"--schema-prefix: schema \"A-production\" is": {SchemaPrefix: "A-"},
		"has 70 bytes: Postgres allows 63":            {SchemaPrefix: strings.Repeat("a", 52)},
		"--active-port 70000: use a port":             {ActivePort: 70000},
		"--active-port and --preview-port are both 1": {ActivePort: 1, PreviewPort: 1},
		"--preview-port and --tester-port are both 7": {PreviewPort: 7, TesterPort: 7},
		"--tester-port -1: use a port":                {TesterPort: -1},
		"--scale-down-delay -1s: use a duration":      {ScaleDownDelay: -time.Second},
		"step 1 cannot be done: undo":                 {Script: "undo"},
	} {
		err := Run(t.Context(), o)
		var usage *UsageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want a usage error with %q", err, want)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("error %v shows the password", err)
		}
	}
}

func TestOutputThatNobodyReadsEndsTheDemo(t *testing.T) {
	t.Parallel()
	read, write := io.Pipe()
	if err := read.Close(); err != nil {
		t.Fatal(err)
	}
	p := newPrinter(write)
	if p.say("a"); !errors.Is(p.failure(), io.ErrClosedPipe) {
		t.Errorf("failure %v, want %v", p.failure(), io.ErrClosedPipe)
	}
	var out bytes.Buffer
	p = newPrinter(&out)
	if p.say("job %d", 7); p.failure() != nil || !strings.HasSuffix(out.String(), "s  job 7\n") {
		t.Errorf("printed %q, failure %v", out.String(), p.failure())
	}
}

func TestTheFirstTroubleIsTheOneThatCounts(t *testing.T) {
	t.Parallel()
	acts, end := context.WithCancelCause(t.Context())
	trouble := &trouble{end: end}
	first, second := errors.New("first"), errors.New("second")
	trouble.fail(first)
	trouble.fail(second)
	if trouble.err() != first || context.Cause(acts) != first {
		t.Errorf("trouble %v, cause %v, want the first", trouble.err(), context.Cause(acts))
	}
}

func TestAProcessEndsWithAllItStarted(t *testing.T) {
	t.Parallel()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = read.Close() }()
	cmd := exec.Command("sh", "-c", "sleep 1000 & echo started; wait")
	cmd.Stdout = write // both have it open
	p, err := startProcess(cmd)
	if err != nil {
		t.Fatal(err)
	}
	if err := write.Close(); err != nil {
		t.Fatal(err)
	}
	if p.Wait(0) || p.Ended() {
		t.Fatal("it has ended by itself")
	}
	if _, err := read.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	_ = p.SignalGroup(15)
	if !p.Wait(10*time.Second) || p.Err() == nil {
		t.Errorf("ended %v, error %v", p.Ended(), p.Err())
	}
	if rest, err := io.ReadAll(read); err != nil || len(rest) > 0 { // ends when the last one has
		t.Errorf("rest %q, error %v", rest, err)
	}
	_ = p.SignalGroup(15) // to what is no more: nothing happens
}

func TestAProgramThatIsNotThereIsAnError(t *testing.T) {
	t.Parallel()
	if _, err := startProcess(exec.Command(filepath.Join(t.TempDir(), "missing"))); err == nil {
		t.Error("it was started")
	}
}
