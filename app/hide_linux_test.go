package app_test

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// probe is a program that looks, from where exec starts it, for the worker's
// secrets, and says what it can read.
const probe = `
look() { if "$@" > /dev/null 2>&1; then printf true; else printf false; fi; }
printf '{"environ": %s, "memory": %s, "files": %s, "given": %s}' "$(look grep -qa TOPSECRET /proc/$PPID/environ)" \
  "$(look head -c 1 /proc/$PPID/maps)" "$(look ls /proc/$PPID/fd/)" "$(env | grep -q TOPSECRET && printf true || printf false)"`

// seen is what the probe says.
type seen struct{ Environ, Memory, Files, Given bool }

func TestAProgramOfExecReadsNothingOfTheWorkers(t *testing.T) {
	t.Parallel()
	users := map[string]*syscall.Credential{"the test's own user": nil}
	if os.Geteuid() == 0 {
		users["an ordinary user"] = &syscall.Credential{Uid: 65534, Gid: 65534}
	}
	for name, user := range users {
		got := probed(t, user)
		if user == nil && os.Geteuid() == 0 {
			got.Memory, got.Files = false, false // root may, with CAP_SYS_PTRACE
		}
		if diff := cmp.Diff(seen{}, got); diff != "" {
			t.Errorf("as %s (-nothing +what it can read):\n%s", name, diff)
		}
	}
}

// probed runs a worker with one exec handler as a user, and the probe in it.
func probed(t *testing.T, user *syscall.Credential) seen {
	t.Helper()
	th := newTheatre(t)
	ids := th.enqueue(th.production, "probe", 1, 0)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	command, err := json.Marshal([]string{"sh", "-c", probe})
	if err != nil {
		t.Fatal(err)
	}
	worker := exec.CommandContext(ctx, copied(t), "run", "--role=active", "--http.addr=", "--targets.production.schema="+th.production)
	worker.Env = []string{
		programVariable + "=1", "PATH=" + os.Getenv("PATH"), "UNDERSTUDY_TARGETS__PRODUCTION__DSN=" + th.dsn, "UNDERSTUDY_QUEUES__TOPSECRET__CONCURRENCY=1",
		"PGPASSWORD=TOPSECRET", "PGSSLPASSWORD=TOPSECRET", "PGPASSFILE=/TOPSECRET", "OTEL_EXPORTER_OTLP_HEADERS=authorization=TOPSECRET",
		`UNDERSTUDY_HANDLERS__PROBE={"type": "exec", "command": ` + string(command) + `}`,
	}
	var said output
	worker.Dir, worker.Stdout, worker.Stderr = "/", &said, &said
	worker.SysProcAttr = &syscall.SysProcAttr{Credential: user, Pdeathsig: syscall.SIGKILL}
	worker.Cancel = func() error { return worker.Process.Signal(syscall.SIGTERM) }
	worker.WaitDelay = time.Minute
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	th.untilDone(th.production)
	cancel()
	_ = worker.Wait() // it was told to end
	var result seen
	text := ask[*string](th, "SELECT result::text FROM {production}.jobs WHERE id = $1", ids[0])
	if text == nil || json.Unmarshal([]byte(*text), &result) != nil {
		t.Fatalf("the probe said nothing; the worker: %s", said.String())
	}
	return result
}

// copied is this program where any user can run it.
func copied(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "understudy-program")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	from, err := os.Open(own)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	path := filepath.Join(dir, "program")
	to, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(to, from); err != nil {
		t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}
