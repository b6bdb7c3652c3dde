package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// service is a port of this machine that leads to one pod at a time, as a
// Kubernetes Service does whose selector a rollout changes.
type service struct {
	listener net.Listener

	mu      sync.Mutex
	backend func() string // the address of the pod's worker, "" while it has none; nil before the first
	open    map[net.Conn]struct{}
	conns   sync.WaitGroup
}

// listen makes a service on a port: see bind.
func listen(port int, flag string) (*service, error) {
	listener, err := bind(port, flag)
	if err != nil {
		return nil, err
	}
	return &service{listener: listener, open: map[net.Conn]struct{}{}}, nil
}

// bind takes a port of 127.0.0.1, 0 for any that is free. flag is the one that
// chose it.
func bind(port int, flag string) (net.Listener, error) {
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("port %d is taken: choose another with --%s (0 for any that is free)", port, flag)
	}
	if err != nil {
		return nil, fmt.Errorf("--%s %d: %w", flag, port, err)
	}
	return listener, nil
}

// url is where a browser finds the service.
func (s *service) url() string { return "http://" + s.listener.Addr().String() }

// lead makes the service lead to another pod. Unlike a Service it ends the
// connections to the old one: a page that is open shows the new one at once.
func (s *service) lead(backend func() string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.backend = backend
	s.hangUp()
}

// hangUp closes the open connections. mu is held.
func (s *service) hangUp() {
	for conn := range s.open {
		_ = conn.Close() // the copying notices
	}
}

// run passes connections on until ctx ends.
func (s *service) run(ctx context.Context) error {
	defer s.conns.Wait()
	defer context.AfterFunc(ctx, s.close)()
	for {
		conn, err := s.listener.Accept()
		if ctx.Err() != nil {
			if err == nil {
				_ = conn.Close()
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept on %s: %w", s.listener.Addr(), err)
		}
		s.conns.Go(func() { s.pass(conn) })
	}
}

// close lets go of the port and of every connection.
func (s *service) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.listener.Close()
	s.backend = nil
	s.hangUp()
}

// pass connects a client with the pod's worker, until either hangs up.
func (s *service) pass(client net.Conn) {
	defer func() { _ = client.Close() }()
	address := s.enter(client)
	defer s.leave(client)
	if address == "" {
		return
	}
	worker, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return
	}
	defer func() { _ = worker.Close() }()
	var copying sync.WaitGroup
	copying.Go(func() { join(worker, client) })
	join(client, worker)
	copying.Wait()
}

// join copies from one connection to another and then closes both.
func join(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_, _ = to.Close(), from.Close()
}

// enter notes a connection and returns where it leads, "" for nowhere.
func (s *service) enter(client net.Conn) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.backend == nil {
		return ""
	}
	s.open[client] = struct{}{}
	return s.backend()
}

func (s *service) leave(client net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, client)
}
