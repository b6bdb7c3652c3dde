package pgserver

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/understudy-worker/understudy/internal/process"
	"github.com/understudy-worker/understudy/internal/tail"
)

// command is a program of the server's, run as its account in its directory.
func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(s.bindir+"/"+name, args...)
	cmd.Dir = s.dir
	cmd.Env = environment()
	if s.account != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &s.account.credential}
	}
	return cmd
}

// death is the signal that a program gets when this process dies: Postgres's
// immediate shutdown, which takes its children and its shared memory along, as
// SIGKILL would not.
const death = syscall.SIGQUIT

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
	output := &tail.Tail{}
	cmd := s.command(name, args...)
	cmd.Stdout, cmd.Stderr = output, output
	cmd.WaitDelay = waitDelay
	p, err := process.Start(cmd, death)
	if err != nil {
		return err
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		// The group: initdb has a server of its own, which it removes last.
		_ = p.SignalGroup(syscall.SIGTERM)
		if !p.Wait(waitDelay) {
			_ = p.SignalGroup(syscall.SIGKILL)
		}
		<-p.Done()
		return context.Cause(ctx)
	}
	if err := p.Err(); err != nil {
		return fmt.Errorf("%s: %w; its output ends:\n%s", name, err, output)
	}
	return nil
}

// waitDelay bounds the wait for a program's children, which hold its output
// open, after the program itself has ended.
const waitDelay = 5 * time.Second
