package app_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// subreaperVariable makes the program adopt orphans, as the first process of a
// container does.
const subreaperVariable = "UNDERSTUDY_TEST_SUBREAPER"

// adoptOrphans does so where the variable asks for it.
func adoptOrphans() {
	if os.Getenv(subreaperVariable) == "" {
		return
	}
	os.Unsetenv(subreaperVariable) // the worker below the init does not
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		panic(fmt.Sprintf("become a subreaper: %v", err))
	}
}

// asInit starts a pod whose process is the first of its PID namespace, or else
// adopts orphans, with handlers that run programs.
func (th *theatre) asInit(name string, first bool, flags ...string) *pod {
	th.t.Helper()
	p := th.hire(name)
	if first {
		p.namespaces = syscall.CLONE_NEWPID
		if os.Getuid() != 0 {
			th.t.Skip("a PID namespace takes root")
		}
	} else {
		p.env = []string{subreaperVariable + "=1"}
	}
	p.role("active")
	p.start(flags...)
	p.serves(th.production, "active")
	return p
}

// isolate gives the process the namespaces that it is to have.
func (p *pod) isolate() { p.cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: p.namespaces} }

// children are the process ids of the process's children, ended or not.
func (p *pod) children() (pids []int) {
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		data, _ := os.ReadFile(file) // "pid (name) state ppid …"; empty if it has just gone
		text := string(data)
		fields := strings.Fields(text[strings.LastIndex(text, ")")+1:])
		if len(fields) > 1 && fields[1] == strconv.Itoa(p.cmd.Process.Pid) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			pids = append(pids, pid)
		}
	}
	return pids
}

func TestWhatProgramsLeaveBehindIsReapedWhereTheWorkerAdoptsOrphans(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	const jobs = 60
	for name, first := range map[string]bool{"a": true, "b": false} {
		t.Run(fmt.Sprintf("first of its namespace %v", first), func(t *testing.T) {
			// Each leaves an orphan that ends while others run, and ends itself.
			p := th.asInit(name, first, `--handlers.daemon.command=[sh, -c, "setsid sh -c 'sleep 0.1' </dev/null >/dev/null 2>&1 & setsid true </dev/null >/dev/null 2>&1 & exit 0"]`,
				"--handlers.daemon.type=exec", "--queues.default.concurrency=20", "--worker.lease=30s")
			th.enqueue(th.production, "daemon", jobs, 0)
			th.untilDone(th.production)
			p.until("no child but the worker is left", func() bool { return len(p.children()) == 1 })
			if failed := ask[int](th, "SELECT count(*) FROM {production}.jobs WHERE kind = 'daemon' AND (state <> 'completed' OR attempt > 1)"); failed != 0 {
				t.Errorf("%d programs did not end well at once: their ends were taken from who waited for them", failed)
			}
			p.signal(syscall.SIGTERM)
			if code := p.exit(); code != 0 {
				t.Errorf("exit code %d after SIGTERM, want 0\n%s", code, p.log)
			}
		})
	}
}

func TestAnInitEndsAsItsWorkerDoesAndTheWorkerWithIt(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	t.Run("a killed worker", func(t *testing.T) {
		p := th.asInit("a", false)
		children := p.children()
		if len(children) != 1 {
			t.Fatalf("children %v of the init, want the worker", children)
		}
		if err := syscall.Kill(children[0], syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if code := p.exit(); code != 137 {
			t.Errorf("exit code %d, want 137", code)
		}
	})
	t.Run("a worker that cannot start", func(t *testing.T) {
		p := th.hire("b")
		p.env = []string{subreaperVariable + "=1"}
		p.role("active")
		p.start("--worker.lease=never")
		if code := p.exit(); code != 2 || strings.Count(p.log.String(), "\n") != 1 {
			t.Errorf("exit code %d, want 2 and the reason once\n%s", code, p.log)
		}
	})
	t.Run("a second signal", func(t *testing.T) {
		p := th.asInit("c", false, "--targets.production.drain_timeout=5m")
		th.enqueue(th.production, "slow", 1, time.Minute)
		th.until("it runs", "SELECT count(*) = 1 FROM {ledger}.ledger")
		p.signal(syscall.SIGTERM)
		th.until("it drains", "SELECT EXISTS (SELECT FROM {production}.workers WHERE state = 'draining')")
		p.signal(syscall.SIGTERM)
		if code := p.exit(); code != 128+int(syscall.SIGTERM) {
			t.Errorf("exit code %d, want 143", code)
		}
	})
	t.Run("a killed init", func(t *testing.T) {
		p := th.asInit("d", false)
		p.kill()
		th.until("its sessions are gone", "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name LIKE $1 || '%')", p.application("production"))
	})
}
