package container

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
)

// Bounds of the waits for containers.
const (
	startPatience  = 5 * time.Minute // from a start to the first connection
	removePatience = time.Minute
	pollInterval   = 50 * time.Millisecond
)

// logLines is how much of a server's log an error or a failed test shows.
const logLines = 60

// server is a container with one published port that stays the same.
type server struct {
	engine    *engine
	container testcontainers.Container
	port      int
}

// runner starts a container with the options it is given and its own.
type runner func(ctx context.Context, options ...testcontainers.ContainerCustomizer) (testcontainers.Container, error)

// launch starts a container that publishes its port inside, "5432/tcp", under
// one of this machine's. Another port is tried if somebody was quicker.
func (e *engine) launch(ctx context.Context, inside string, run runner, host func(*container.HostConfig)) (*server, error) {
	labels, err := ownLabels()
	if err != nil {
		return nil, err
	}
	for {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		made, err := run(ctx,
			// Names are unique: it reserves the port while the container is stopped.
			testcontainers.WithName("understudy-test-"+strconv.Itoa(port)),
			testcontainers.WithLabels(labels),
			testcontainers.WithExposedPorts(inside),
			testcontainers.WithHostConfigModifier(func(config *container.HostConfig) {
				config.PortBindings = e.publish(inside, port)
				host(config)
			}),
		)
		if err == nil {
			return &server{engine: e, container: made, port: port}, nil
		}
		removed := testcontainers.TerminateContainer(made, testcontainers.StopTimeout(0))
		if !isTaken(err) || removed != nil {
			return nil, errors.Join(err, removed)
		}
	}
}

// publish binds a container's port to one of this machine, for this machine
// alone, unless the engine is elsewhere.
func (e *engine) publish(inside string, port int) network.PortMap {
	binding := network.PortBinding{HostPort: strconv.Itoa(port)}
	if e.host == loopback {
		binding.HostIP = netip.MustParseAddr(loopback)
	}
	return network.PortMap{network.MustParsePort(inside): {binding}}
}

// Address is where the server is reached, host and port.
func (s *server) Address() string { return net.JoinHostPort(s.engine.host, strconv.Itoa(s.port)) }

// Log is what the server has written since it was made.
func (s *server) Log(ctx context.Context) (string, error) {
	options := client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true}
	reader, err := s.engine.client.ContainerLogs(ctx, s.container.GetContainerID(), options)
	if err != nil {
		return "", fmt.Errorf("read the log of a container: %w", err)
	}
	var text bytes.Buffer
	_, err = stdcopy.StdCopy(&text, &text, reader)
	return text.String(), errors.Join(err, reader.Close())
}

// logTail is the end of the log, or why it cannot be had.
func (s *server) logTail(ctx context.Context) string {
	text, err := s.Log(ctx)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-logLines):], "\n")
}

// state is what the engine says of the container.
func (s *server) state(ctx context.Context) (*container.State, error) {
	found, err := s.engine.client.ContainerInspect(ctx, s.container.GetContainerID(), client.ContainerInspectOptions{})
	if err != nil {
		return nil, fmt.Errorf("look at a container: %w", err)
	}
	return found.Container.State, nil
}

// awaitReady waits until ping gets an answer, or the container has ended.
func (s *server) awaitReady(ctx context.Context, ping func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for {
		complaint := ping(ctx)
		if complaint == nil {
			return nil
		}
		state, err := s.state(ctx)
		if err == nil && !state.Running {
			return fmt.Errorf("the container ended with exit code %d while it started: its log ends:\n%s", state.ExitCode, s.logTail(ctx))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the container took no connection: %w: %w", context.Cause(ctx), complaint)
		case <-time.After(pollInterval):
		}
	}
}

// remove removes the container with its volumes. A frozen one has to be
// thawed, or it would not notice.
func (s *server) remove(ctx context.Context) error {
	if state, err := s.state(ctx); err == nil && state.Paused {
		_, _ = s.engine.client.ContainerUnpause(ctx, s.container.GetContainerID(), client.ContainerUnpauseOptions{})
	}
	return testcontainers.TerminateContainer(s.container, testcontainers.StopContext(ctx), testcontainers.StopTimeout(0))
}

// end shows a failed test the log of its server, and removes that.
func (s *server) end(t testing.TB, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), removePatience)
	defer cancel()
	if t.Failed() {
		t.Logf("the log of this test's %s ends:\n%s", name, s.logTail(ctx))
	}
	if err := s.remove(ctx); err != nil {
		t.Errorf("remove the container of this test's %s: %v", name, err)
	}
}

func skipIfShort(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a Docker engine, and -short is set")
	}
}
