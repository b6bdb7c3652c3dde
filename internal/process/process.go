// Package process starts programs that do not outlive this process, each in a
// process group of its own, so that a Ctrl-C in the terminal goes to this
// process alone, which then ends them in order.
package process

import (
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// Process is a program that was started. Its goroutine waits for it.
type Process struct {
	pid  int
	done chan struct{}
	err  error // what Wait said; read it after done
}

// Start starts cmd. On Linux the kernel sends the program the signal death
// when this process dies, even by SIGKILL; elsewhere Go cannot ask for that.
//
// The kernel sends it when the thread that forked ends, not when the process
// does (man 2 prctl), and Go ends threads. So one goroutine, locked to its
// thread, forks the program and stays there until it has ended.
func Start(cmd *exec.Cmd, death syscall.Signal) (*Process, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	dieWithParent(cmd.SysProcAttr, death)
	p := &Process{done: make(chan struct{})}
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

// PID is the program's process id, and that of its group.
func (p *Process) PID() int { return p.pid }

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err waits for the end of the program and says how it went, as exec.Cmd's
// Wait does.
func (p *Process) Err() error {
	<-p.done
	return p.err
}

// Ended says whether the program has ended.
func (p *Process) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Wait waits for the end of the program, at most for d.
func (p *Process) Wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-p.done:
		return true
	case <-timer.C:
		return p.Ended()
	}
}

// Signal sends sig to the program, or os.ErrProcessDone if it has ended.
func (p *Process) Signal(sig syscall.Signal) error {
	if p.Ended() {
		return os.ErrProcessDone
	}
	return syscall.Kill(p.pid, sig)
}

// SignalGroup is Signal for the program and all it started.
func (p *Process) SignalGroup(sig syscall.Signal) error {
	if p.Ended() {
		return os.ErrProcessDone
	}
	return syscall.Kill(-p.pid, sig)
}
