package integration_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/understudy-worker/understudy/integration/internal/history"
	"github.com/understudy-worker/understudy/internal/process"
)

// worker is one process of a pod.
type worker struct {
	pod     *pod
	process *process.Process
	log     string // path of its log
	ledger  string // path of what its handlers noted
	ended   chan struct{}

	mu   sync.Mutex
	life history.Process
}

// launch starts a process. The pod's mu is held.
func (p *pod) launch(n int) (*worker, error) {
	base := filepath.Join(p.th.dir, p.name, strconv.Itoa(n))
	log, err := os.Create(base + ".log")
	if err != nil {
		return nil, err
	}
	w := &worker{
		pod: p, log: log.Name(), ledger: base + ".ledger", ended: make(chan struct{}),
		life: history.Process{Pod: p.name, N: n, Started: time.Now()},
	}
	cmd := exec.Command(p.program, append(p.usualFlags(), p.flags...)...)
	cmd.Env = append(os.Environ(), "POD_NAME="+p.name, "APP_VERSION="+p.version,
		history.FileVariable+"="+w.ledger, history.ProcessVariable+"="+strconv.Itoa(n))
	cmd.Stdout, cmd.Stderr = log, log
	w.process, err = process.Start(cmd, syscall.SIGKILL)
	if closeErr := log.Close(); err != nil || closeErr != nil {
		return nil, errors.Join(err, closeErr)
	}
	p.th.tasks.Go(w.awaitEnd)
	return w, nil
}

func (p *pod) usualFlags() []string {
	flags := []string{"run", "--podinfo.dir=" + p.labels.Dir(), "--http.addr=127.0.0.1:0"}
	for target, place := range p.th.places {
		prefix := "--targets." + target + "."
		flags = append(flags, prefix+"dsn_file="+filepath.Join(p.secrets[target].Dir(), "dsn"), prefix+"schema="+place.schema, prefix+"drain_timeout=2s")
	}
	return append(flags, fmt.Sprintf("--worker.lease=%s", p.th.lease), "--worker.poll_interval=200ms")
}

// awaitEnd notes how the process ended.
func (w *worker) awaitEnd() {
	defer close(w.ended)
	err := w.process.Err()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.life.Ended = time.Now()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		w.life.Exit = exit.ExitCode()
	}
}

func (w *worker) signal(s syscall.Signal) error { return w.process.Signal(s) }

// kill ends the process as a node that fails would, and waits for its end.
func (w *worker) kill() {
	w.mu.Lock()
	w.life.Killed = true
	w.mu.Unlock()
	_ = w.signal(syscall.SIGKILL) // it may have ended
	<-w.ended
}

// freeze stops the process where it stands.
func (w *worker) freeze() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	from := time.Now()
	if err := w.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	w.life.Frozen = append(w.life.Frozen, history.Interval{From: from})
	return nil
}

// thaw lets it go on.
func (w *worker) thaw() error {
	err := w.signal(syscall.SIGCONT)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.life.Frozen[len(w.life.Frozen)-1].To = time.Now()
	return err
}

// record is what is known of the process.
func (w *worker) record() history.Process {
	w.mu.Lock()
	defer w.mu.Unlock()
	life := w.life
	life.Frozen = append([]history.Interval(nil), life.Frozen...)
	return life
}

// exitCode waits for the process to end by itself.
func (w *worker) exitCode() (int, error) {
	if !w.process.Wait(patience) {
		return 0, fmt.Errorf("%s did not end:\n%s", w.pod.name, w.tail())
	}
	<-w.ended
	return w.record().Exit, nil
}

// output is what the process has printed so far.
func (w *worker) output() string {
	text, err := os.ReadFile(w.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// tail is the end of it.
func (w *worker) tail() string {
	const enough = 6000
	text := w.output()
	return text[max(0, len(text)-enough):]
}

// address is where the process serves HTTP, "" before it does.
func (w *worker) address() string {
	file, err := os.Open(w.log)
	if err != nil {
		return ""
	}
	defer func() { _ = file.Close() }()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var line struct{ Msg, Addr string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "listening" {
			return line.Addr
		}
	}
	return ""
}

// crashes are the lines that say that the program itself is at fault.
func (w *worker) crashes() []string {
	var found []string
	for line := range strings.Lines(w.output()) {
		for _, sign := range []string{"WARNING: DATA RACE", "panic: ", "fatal error: "} {
			if strings.HasPrefix(line, sign) {
				found = append(found, strings.TrimSpace(line))
			}
		}
	}
	return found
}

// busy says whether a handler of the process runs, going by the ledger.
func (w *worker) busy() bool { return w.running() > 0 }

// running counts the handlers that have begun and not ended, as the ledger has it.
func (w *worker) running() int {
	runs, err := history.Read(w.ledger)
	if err != nil {
		return 0
	}
	return len(slices.DeleteFunc(runs, func(r history.Run) bool { return !r.EndedAt.IsZero() }))
}
