package demo

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"github.com/understudy-worker/understudy/internal/process"
)

// What happens to a pod's container, which here is the worker's process.

// start starts the worker. mu is held.
func (p *pod) start() error {
	cmd := exec.Command(p.cluster.program, "run",
		"--config", p.cluster.config, "--podinfo.dir", p.volume.Dir(), "--version", p.revision.Version)
	cmd.Env = append(slices.Clone(p.cluster.environ), "POD_NAME="+p.name)
	cmd.Dir = p.cluster.dir
	cmd.Stdout, cmd.Stderr = p.log, p.log
	p.log.forget()
	worker, err := startProcess(cmd)
	if err != nil {
		return fmt.Errorf("start a worker: %w", err)
	}
	p.worker, p.ending = worker, false
	p.cluster.watch(func() { p.awaitEnd(worker) })
	return nil
}

// awaitEnd waits until the worker has ended, which is a failure if nobody
// wanted it.
func (p *pod) awaitEnd(worker *process.Process) {
	<-worker.Done()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ending {
		p.cluster.fail(fmt.Errorf("the worker of version %s ended by itself: %v; see the end of its log", p.revision.Version, worker.Err()))
	}
}

// Terminate sends SIGTERM, once: the worker drains and ends, and a second one
// would cut the drain short.
func (p *pod) Terminate() {
	if p.sendEnd(syscall.SIGTERM) {
		p.cluster.say("%s: SIGTERM", p.revision.Version)
	}
	to, err := p.cluster.clock(context.Background())
	if err != nil {
		p.cluster.fail(err)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cluster.recorder.leave(p.stint, to)
}

// kill kills the worker's process, as a crash would, and waits for its end.
func (p *pod) kill() {
	p.sendEnd(syscall.SIGKILL)
	p.mu.Lock()
	worker := p.worker
	p.mu.Unlock()
	<-worker.Done()
}

// restart starts a new worker in the pod, as a kubelet restarts a container:
// the pod's labels are as they were.
func (p *pod) restart() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.start()
}

// sendEnd sends a signal that is to end the worker. It returns false if the
// worker has ended, or was told to by the same or a harder one.
func (p *pod) sendEnd(sig syscall.Signal) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.worker == nil || p.worker.Ended() || p.ending && sig != syscall.SIGKILL {
		return false
	}
	p.ending = true
	_ = p.worker.SignalGroup(sig) // an error says that it has just ended
	return true
}

// await waits for the worker's end, at most for d, and then kills it. It
// returns false if it had to.
func (p *pod) await(d time.Duration) bool {
	p.mu.Lock()
	worker := p.worker
	p.mu.Unlock()
	if worker == nil || worker.Wait(d) {
		return true
	}
	p.kill()
	return false
}
