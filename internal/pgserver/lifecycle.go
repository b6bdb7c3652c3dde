package pgserver

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-worker/understudy/internal/process"
)

// pollInterval is the pause between two looks at a server that changes state.
const pollInterval = 20 * time.Millisecond

// portTries is how often a start tries another port after a lost race for one.
const portTries = 10

// errPortTaken says that another program has the port.
var errPortTaken = errors.New("its port is taken")

// launch starts the server for the first time, on a port that it chooses.
func (s *Server) launch(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range portTries {
		port, err := freePort()
		if err != nil {
			return err
		}
		s.port = port
		if err := s.begin(ctx); !errors.Is(err, errPortTaken) {
			return err
		}
	}
	return fmt.Errorf("start a Postgres server: lost the race for %d ports to other programs", portTries)
}

// begin starts the server and waits until it takes connections. After an
// error no process is left.
func (s *Server) begin(ctx context.Context) error {
	cmd := s.command("postgres", "-D", s.data(), "-p", strconv.Itoa(s.port))
	cmd.Stdout, cmd.Stderr = s.log, s.log
	cmd.WaitDelay = waitDelay
	p, err := process.Start(cmd, death)
	if err != nil {
		return fmt.Errorf("start a Postgres server: %w", err)
	}
	s.process = p
	ctx, cancel := context.WithTimeout(ctx, s.startTimeout)
	defer cancel()
	if err := s.ready(ctx, p); err != nil {
		return errors.Join(err, s.halt(true))
	}
	return nil
}

// ready waits until a connection succeeds.
func (s *Server) ready(ctx context.Context, p *process.Process) error {
	for {
		err := s.ping(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.Done():
			return s.died(p)
		case <-ctx.Done():
			return fmt.Errorf("the Postgres server took no connection in time: %w (%w); its log ends:\n%s", err, context.Cause(ctx), s.log)
		case <-time.After(pollInterval):
		}
	}
}

// died says why the server ended while it started.
func (s *Server) died(p *process.Process) error {
	log := s.log.String()
	// The messages of pqcomm.c and of strerror(EADDRINUSE).
	if strings.Contains(log[max(0, len(log)-1024):], "Address already in use") {
		return fmt.Errorf("start a Postgres server on port %d: %w; its log ends:\n%s", s.port, errPortTaken, log)
	}
	return fmt.Errorf("the Postgres server ended while it started: %w; its log ends:\n%s", p.Err(), log)
}

// ping opens a connection and closes it.
func (s *Server) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// shutdowns are Postgres's ways to end, each harder than the one before, and
// how long to wait for it.
// Source: Postgres manual, section 19.5, "Shutting Down the Server".
var shutdowns = []struct {
	signal   syscall.Signal
	patience time.Duration
}{
	{syscall.SIGINT, 20 * time.Second},  // fast: checkpoints first
	{syscall.SIGQUIT, 10 * time.Second}, // immediate: kills its children after 5 s
	{syscall.SIGKILL, 10 * time.Second},
}

// halt ends the server's process, if there is one, and waits for its end.
func (s *Server) halt(immediate bool) error {
	p := s.process
	if p == nil {
		return nil
	}
	steps := shutdowns
	if immediate {
		steps = steps[1:]
	}
	for _, step := range steps {
		// An error means that it has ended by itself, which wait then sees.
		_ = p.Signal(step.signal)
		if p.Wait(step.patience) {
			s.process = nil
			return nil
		}
	}
	return fmt.Errorf("stop the Postgres server: process %d does not end", p.PID())
}

// Ports for the server: below those that Linux and other systems hand to
// outgoing connections, so that a client that keeps trying a server that is
// down cannot be handed the server's port and connect to itself.
const firstPort, lastPort = 20000, 32000

// freePort finds a port of 127.0.0.1 that nobody listens on right now.
func freePort() (int, error) {
	var err error
	for range 100 {
		port := firstPort + rand.IntN(lastPort-firstPort)
		var listener net.Listener
		listener, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return port, listener.Close()
		}
	}
	return 0, fmt.Errorf("find a free port on 127.0.0.1: %w", err)
}
