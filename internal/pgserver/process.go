package pgserver

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// process is a running program. Its goroutine starts it and waits for it.
type process struct {
	pid  int
	done chan struct{} // closed when the program has ended
	err  error         // what Wait said; read it after done
}

// startProcess starts cmd.
//
// The kernel sends the parent-death signal when the thread that forked ends,
// not when the process does (man 2 prctl), and Go ends threads. So one
// goroutine, locked to its thread, forks the program and stays there until
// it has ended.
func startProcess(cmd *exec.Cmd) (*process, error) {
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

// signal sends sig to the program if it still runs.
func (p *process) signal(sig syscall.Signal) error {
	if p.ended() {
		return os.ErrProcessDone
	}
	return syscall.Kill(p.pid, sig)
}

// command is a program of the server's, run as its account, in its directory,
// and in a process group of its own: a Ctrl-C in the terminal goes to this
// process alone, which then stops the server in order.
func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(s.bindir+"/"+name, args...)
	cmd.Dir = s.dir
	cmd.Env = environment()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if s.account != nil {
		cmd.SysProcAttr.Credential = &s.account.credential
	}
	dieWithParent(cmd.SysProcAttr)
	return cmd
}

// environment is this process's without what would steer Postgres elsewhere.
func environment() []string {
	env := []string{"LC_ALL=C"}
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "PG") && !strings.HasPrefix(entry, "LC_ALL=") {
			env = append(env, entry)
		}
	}
	return env
}

// run runs a program of the server's to its end, or until ctx is done.
func (s *Server) run(ctx context.Context, name string, args ...string) error {
	output := &tail{}
	cmd := s.command(name, args...)
	cmd.Stdout, cmd.Stderr = output, output
	cmd.WaitDelay = waitDelay
	p, err := startProcess(cmd)
	if err != nil {
		return err
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		// The group: initdb has a server of its own, which it removes last.
		_ = syscall.Kill(-p.pid, syscall.SIGTERM)
		if !p.wait(waitDelay) {
			_ = syscall.Kill(-p.pid, syscall.SIGKILL)
		}
		<-p.done
		return context.Cause(ctx)
	}
	if p.err != nil {
		return fmt.Errorf("%s: %w; its output ends:\n%s", name, p.err, output)
	}
	return nil
}

// waitDelay bounds the wait for a program's children, which hold its output
// open, after the program itself has ended.
const waitDelay = 5 * time.Second
