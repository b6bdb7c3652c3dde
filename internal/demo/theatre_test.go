package demo

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// curtainTime bounds each of these runs.
const curtainTime = 5 * time.Minute

// buildProgram builds the real program.
func buildProgram(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "understudy")
	args := append([]string{"build", "-buildvcs=false", "-o", path}, raceFlags...)
	if out, err := exec.Command("go", append(args, "../../cmd/understudy")...).CombinedOutput(); err != nil {
		t.Fatalf("build the program: %v\n%s", err, out)
	}
	return path
}

// run is one run of the real demo, in a directory for temporary files of its
// own, in which it must leave nothing.
type run struct {
	t      *testing.T
	dir    string
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	output *output
}

// output is what a run printed so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// startDemo starts the demo in a process group of its own, as a shell does.
func startDemo(t *testing.T, program string, args ...string) *run {
	t.Helper()
	// Not t.TempDir: the server of a demo that root runs must get there.
	dir, err := os.MkdirTemp("", "demo-test-")
	if err != nil {
		t.Fatal(err)
	}
	r := &run{t: t, dir: dir, output: &output{}}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	r.cmd = exec.Command(program, append([]string{"demo", "--active-port=0", "--preview-port=0", "--tester-port=0"}, args...)...)
	r.cmd.Env = append(os.Environ(), "TMPDIR="+dir, "GORACE=atexit_sleep_ms=0")
	r.cmd.Stdout, r.cmd.Stderr = r.output, r.output
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	r.cmd.WaitDelay = 5 * time.Second
	if r.stdin, err = r.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	overdue := time.AfterFunc(curtainTime, func() { r.signal(syscall.SIGQUIT) })
	t.Cleanup(func() {
		overdue.Stop()
		r.signal(syscall.SIGKILL) // if the test ended before the run
		_ = r.cmd.Wait()
	})
	return r
}

func (r *run) signal(sig syscall.Signal) { _ = syscall.Kill(-r.cmd.Process.Pid, sig) }

// until waits until the run has printed a text.
func (r *run) until(text string) {
	r.t.Helper()
	for deadline := time.Now().Add(curtainTime); !strings.Contains(r.output.String(), text); {
		if time.Now().After(deadline) {
			r.t.Fatalf("waited in vain for %q in:\n%s", text, r.output)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (r *run) press(keys string) {
	r.t.Helper()
	if _, err := io.WriteString(r.stdin, keys); err != nil {
		r.t.Fatalf("press %q: %v\n%s", keys, err, r.output)
	}
}

// end waits for the end of the run, which must come with that exit code and
// leave nothing, and returns what was printed.
func (r *run) end(code int) string {
	r.t.Helper()
	err := r.cmd.Wait()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		r.t.Fatal(err)
	}
	if got := r.cmd.ProcessState.ExitCode(); got != code {
		r.t.Errorf("exit code %d (%v), want %d", got, r.cmd.ProcessState, code)
	}
	if strings.Contains(r.output.String(), "DATA RACE") {
		r.t.Error("a data race")
	}
	r.leavesNothing()
	if r.t.Failed() {
		r.t.Logf("it printed:\n%s", r.output)
	}
	return r.output.String()
}

func (r *run) leavesNothing() {
	r.t.Helper()
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, e := range entries {
		r.t.Errorf("left behind: %s", e.Name())
	}
	if left := r.processes(); len(left) > 0 {
		r.t.Errorf("processes left behind:\n%s", strings.Join(left, "\n"))
	}
}

// processes lists the processes that have the run's directory in their command
// line, as all that a demo starts have. It sees them on Linux only.
func (r *run) processes() []string {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		r.t.Fatal(err)
	}
	var found []string
	for _, file := range files {
		line, _ := os.ReadFile(file) // gone by now, for one
		if bytes.Contains(line, []byte(r.dir)) {
			found = append(found, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}
