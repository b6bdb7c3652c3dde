package handlers

import (
	"context"
	"io"
	"os"
	"sync"
	"syscall"
	"time"
)

// pipeDelay is how long the pipes stay open once the program's group is dead.
// What it wrote is read long before; only a process that left the group can
// still hold them.
const pipeDelay = time.Second

// program is what to run, the same for every job.
type program struct {
	path  string
	args  []string
	dir   string
	env   []string
	grace time.Duration // from SIGTERM to SIGKILL
	limit int           // of the standard output that is kept
}

// ending is how a run ended.
type ending struct {
	state   *os.ProcessState
	stdout  head
	stderr  tail
	stopped bool // the context ended first
}

// said is the end of standard error, as the end of an error.
func (e *ending) said() string {
	if text := readable(e.stderr.kept); text != "" {
		return ": " + text
	}
	return ""
}

// run runs the program until it ends by itself or the context does. It leaves
// nothing behind: when it returns, the program's whole process group is dead.
// The error is of starting it; how it ended is no error here.
func (p *program) run(ctx context.Context, stdin []byte, variables []string) (ending, error) {
	if ctx.Err() != nil {
		return ending{}, context.Cause(ctx)
	}
	c := p.child(variables)
	exited, err := c.start()
	if err != nil {
		return ending{}, err
	}
	end := ending{stdout: head{limit: p.limit}}
	var copying sync.WaitGroup
	copying.Go(func() { c.feed(stdin) })
	copying.Go(func() { io.Copy(&end.stdout, c.stdout) })
	copying.Go(func() { io.Copy(&end.stderr, c.stderr) })

	end.stopped = c.await(ctx, exited, p.grace)
	c.signal(syscall.SIGKILL) // what the program left behind
	giveUp := time.AfterFunc(pipeDelay, c.closePipes)
	copying.Wait()
	giveUp.Stop()
	c.closePipes()
	end.state, err = c.reap()
	return end, err
}
