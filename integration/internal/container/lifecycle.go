package container

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	tcexec "github.com/testcontainers/testcontainers-go/exec"
)

// Shutdown is how a server is made to end: the signal that does it.
type Shutdown string

const (
	Fast      Shutdown = "SIGINT"  // open transactions are rolled back
	Immediate Shutdown = "SIGQUIT" // sessions end at once, and the next start recovers
	Crash     Shutdown = "SIGKILL" // nobody is told
)

// freezePatience bounds the attempts to freeze a server.
const freezePatience = 30 * time.Second

// Stop ends the server and waits until its container has ended. Its data stay.
// One that has ended already is left alone.
func (s *server) Stop(ctx context.Context, how Shutdown) error {
	state, err := s.state(ctx)
	if err != nil || !state.Running {
		return err
	}
	id := s.container.GetContainerID()
	if _, err := s.engine.client.ContainerKill(ctx, id, client.ContainerKillOptions{Signal: string(how)}); err != nil {
		return fmt.Errorf("send %s to a server: %w", how, err)
	}
	return s.awaitEnd(ctx)
}

// awaitEnd waits until the container has ended.
func (s *server) awaitEnd(ctx context.Context) error {
	options := client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning}
	wait := s.engine.client.ContainerWait(ctx, s.container.GetContainerID(), options)
	select {
	case <-wait.Result:
		return nil
	case err := <-wait.Error:
		return fmt.Errorf("wait for the end of a server: %w", err)
	}
}

// Start starts a server again that has ended, and waits until it takes
// connections. Its address is the same as before.
func (p *Postgres) Start(ctx context.Context) error {
	if _, err := p.engine.client.ContainerStart(ctx, p.container.GetContainerID(), client.ContainerStartOptions{}); err != nil {
		return fmt.Errorf("start a server again: %w", err)
	}
	return p.awaitReady(ctx, p.ping)
}

// Restart is Stop and Start.
func (p *Postgres) Restart(ctx context.Context, how Shutdown) error {
	if err := p.Stop(ctx, how); err != nil {
		return err
	}
	return p.Start(ctx)
}

// Freeze halts every process of the server where it is. Connections stay open
// and new ones are taken, yet nobody answers.
func (s *server) Freeze(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, freezePatience)
	defer cancel()
	for {
		_, err := s.engine.client.ContainerPause(ctx, s.container.GetContainerID(), client.ContainerPauseOptions{})
		if err == nil {
			return nil
		}
		// runc gives up on a cgroup (version 1) whose processes fork all the time
		// (github.com/opencontainers/runc, libcontainer/cgroups/fs/freezer.go).
		if !strings.Contains(err.Error(), "unable to freeze") || ctx.Err() != nil {
			return fmt.Errorf("freeze a server: %w", err)
		}
	}
}

// Thaw lets a frozen server go on.
func (s *server) Thaw(ctx context.Context) error {
	if _, err := s.engine.client.ContainerUnpause(ctx, s.container.GetContainerID(), client.ContainerUnpauseOptions{}); err != nil {
		return fmt.Errorf("thaw a server: %w", err)
	}
	return nil
}

// Exec runs a command in the container as root and returns what it printed.
func (s *server) Exec(ctx context.Context, command ...string) (string, error) {
	code, reader, err := s.container.Exec(ctx, command, tcexec.WithUser("root"), tcexec.Multiplexed())
	if err != nil {
		return "", fmt.Errorf("run %s in a container: %w", command[0], err)
	}
	out, err := io.ReadAll(reader)
	if err != nil {
		return "", fmt.Errorf("read what %s printed in a container: %w", command[0], err)
	}
	if code != 0 {
		return string(out), fmt.Errorf("%s ended in its container with exit code %d: %s", command[0], code, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}
