package handlers

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"syscall"
	"time"
)

// child is one run of a program, in a process group of its own.
type child struct {
	cmd            *exec.Cmd
	stdin          io.WriteCloser
	stdout, stderr io.ReadCloser
	state          *os.ProcessState // set once the process is reaped
}

// child prepares a run. A pipe that cannot be had is start's error.
func (p *program) child(variables []string) *child {
	cmd := exec.Command(p.path)
	cmd.Args = p.args
	cmd.Dir = p.dir
	cmd.Env = slices.Concat(p.env, variables)
	cmd.SysProcAttr = processAttributes()
	c := &child{cmd: cmd}
	var errs [3]error
	c.stdin, errs[0] = cmd.StdinPipe()
	c.stdout, errs[1] = cmd.StdoutPipe()
	c.stderr, errs[2] = cmd.StderrPipe()
	for _, err := range errs {
		if err != nil && cmd.Err == nil {
			cmd.Err = err // Start closes the other pipes, and returns it
		}
	}
	return c
}

// start starts the process, and closes the channel it returns when it exits.
// The goroutine keeps its thread for as long: on Linux the child is killed when
// the thread that forked it ends, which is meant for the worker's end and must
// not come from the runtime ending a thread.
func (c *child) start() (<-chan struct{}, error) {
	started, exited := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(exited)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := c.cmd.Start()
		started <- err
		if err == nil {
			c.awaitExit()
		}
	}()
	err := <-started
	if err != nil {
		<-exited
	}
	return exited, err
}

// await waits for the exit, and brings it about when the context ends: by
// SIGTERM, and after the grace by SIGKILL. It says whether it did.
func (c *child) await(ctx context.Context, exited <-chan struct{}, grace time.Duration) bool {
	select {
	case <-exited:
		return false
	case <-ctx.Done():
	}
	c.signal(syscall.SIGTERM)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-exited:
	case <-timer.C:
		c.signal(syscall.SIGKILL)
		<-exited
	}
	return true
}

// signal signals the process with all it started, but for what left its group.
// A process that is not reaped keeps its id, and the group's, from being reused.
func (c *child) signal(signal syscall.Signal) {
	syscall.Kill(-c.cmd.Process.Pid, signal)
}

// feed writes the standard input. A program that does not read it, or not
// all, is no failure.
func (c *child) feed(data []byte) {
	io.Copy(c.stdin, bytes.NewReader(data))
	c.stdin.Close()
}

// closePipes closes the worker's ends of the pipes, which ends the copying.
func (c *child) closePipes() {
	c.stdin.Close()
	c.stdout.Close()
	c.stderr.Close()
}

// reap takes the exit status. When the worker is the container's first
// process, what the program left behind is now the worker's to reap as well.
func (c *child) reap() (*os.ProcessState, error) {
	if c.state == nil {
		state, err := c.cmd.Process.Wait()
		if err != nil {
			return nil, err
		}
		c.state = state
	}
	for {
		_, err := syscall.Wait4(-c.cmd.Process.Pid, nil, 0, nil)
		if err != nil && err != syscall.EINTR {
			return c.state, nil // ECHILD: there are none
		}
	}
}
