package demo

import (
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// process is a running program. Its goroutine starts it and waits for it.
type process struct {
	pid  int
	done chan struct{} // closed when the program has ended
	err  error         // what Wait said; read it after done
}

// startProcess starts cmd in a process group of its own, so that a Ctrl-C in
// the terminal goes to the demo alone, which then ends its processes in order.
//
// On Linux the program dies with this process, however that dies. The kernel
// tells it when the thread that forked ends (man 2 prctl), and Go ends
// threads: so one goroutine, locked to its thread, stays there until the
// program has ended.
func startProcess(cmd *exec.Cmd) (*process, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	dieWithParent(cmd.SysProcAttr)
	cmd.WaitDelay = time.Second
	p := &process{done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.done)
		err := cmd.Start()
		if err == nil {
			p.pid = cmd.Process.Pid
		}
		started <- err
		if err == nil {
			p.err = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		<-p.done
		return nil, err
	}
	return p, nil
}

// ended says whether the program has ended.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// wait waits for the end of the program, at most for d.
func (p *process) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-p.done:
		return true
	case <-timer.C:
		return p.ended()
	}
}

// signal signals the program and all it started, unless it has ended.
func (p *process) signal(sig syscall.Signal) {
	if !p.ended() {
		_ = syscall.Kill(-p.pid, sig) // an error says that it has just ended
	}
}
